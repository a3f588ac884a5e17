package remote

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// Waits between repetitions.
const (
	firstWait = 200 * time.Millisecond
	lastWait  = 15 * time.Second
)

// laterError is an error with the time after which the server wants to be asked again.
type laterError struct {
	error
	after time.Duration
}

func (e *laterError) Unwrap() error { return e.error }

// passing says whether the same request can succeed later.
func passing(err error) bool {
	return errors.Is(err, wire.ErrUnreachable) || errors.Is(err, wire.ErrUnavailable) || errors.Is(err, wire.ErrFull)
}

// retry repeats f while its error may pass and Patience lasts, counted from the first failure.
func (c *Client) retry(ctx context.Context, f func() error) error {
	var began time.Time
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		err := f()
		if err == nil || ctx.Err() != nil || !passing(err) {
			return err
		}
		if began.IsZero() {
			began = time.Now()
		}
		pause := wait/2 + rand.N(wait)
		var later *laterError
		if errors.As(err, &later) {
			pause = max(pause, later.after)
		}
		if time.Since(began)+pause > c.opts.Limits.Patience {
			return err
		}
		if c.opts.Notice != nil {
			c.opts.Notice(err, pause)
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// sleep returns false if the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
