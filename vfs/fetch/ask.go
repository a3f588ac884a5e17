package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Ask calls ask, which asks where the demand source is for something that is no
// chunk, and that somebody waits for. As a demand does it ends by the deadline, with
// ErrOffline; ask repeats itself until then. An answer is nil, or an error that wraps
// fs.ErrNotExist or is Final.
func (s *Scheduler) Ask(ctx context.Context, ask func(context.Context) error) error {
	s.enter()
	defer s.leave()
	asked := time.Now()
	limited, cancel := context.WithTimeout(ctx, s.patience())
	defer cancel()
	err := ask(limited)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && limited.Err() != nil {
		err = fmt.Errorf("no answer in time (%w)", errTimeout)
	}
	answered := err == nil || errors.Is(err, fs.ErrNotExist) || !passing(err)
	s.note(asked, answered, err)
	if !answered {
		err = fmt.Errorf("%w: %w", ErrOffline, err)
	}
	return err
}
