package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"
)

// Asking for something else than a chunk ends as a demand does: by the deadline, sooner where the
// source is known to be out of reach, and with the answer where there is one (invariant 9).
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Demand: &link{}, Bulk: &link{}, Deadline: 10 * time.Second})
		silent := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		for what, err := range map[string]error{"nothing": nil, "no such": fmt.Errorf("it: %w", fs.ErrNotExist), "refused": final{}} {
			if got := s.Ask(t.Context(), func(context.Context) error { return err }); !errors.Is(got, err) || errors.Is(got, ErrOffline) {
				t.Errorf("the answer %s came as %v", what, got)
			}
		}
		if got := s.Ask(t.Context(), func(context.Context) error { return errLink }); !errors.Is(got, ErrOffline) || !errors.Is(got, errLink) {
			t.Errorf("a link that is cut: %v", got)
		}
		time.Sleep(time.Second)
		for _, want := range []time.Duration{10 * time.Second, 2 * time.Second} {
			var err error
			if d := took(func() { err = s.Ask(t.Context(), silent) }); d != want || !errors.Is(err, ErrOffline) {
				t.Errorf("no answer: %v after %v, want %v", err, d, want)
			}
		}
		if s.Offline() == nil {
			t.Error("the source is not taken to be out of reach")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Ask(ctx, silent); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrOffline) {
			t.Errorf("whoever asks gave up: %v", err)
		}
		if err := s.Ask(t.Context(), func(context.Context) error { return nil }); err != nil || s.Offline() != nil {
			t.Errorf("back again: %v, %v", err, s.Offline())
		}
		if s.Waiting() != 0 {
			t.Errorf("%d still wait", s.Waiting())
		}
	})
}
