package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
)

// link is a source whose answers take a while, and may be errors.
type link struct {
	mu    sync.Mutex
	took  time.Duration
	err   error
	calls atomic.Int64
	order []chunk.ID
}

func (l *link) set(took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took, l.err = took, err
}

func (l *link) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	for i, id := range ids {
		l.calls.Add(1)
		l.mu.Lock()
		took, err := l.took, l.err
		l.order = append(l.order, id)
		l.mu.Unlock()
		select {
		case <-time.After(took):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := got(i, id[:], err); err != nil {
			return err
		}
	}
	return nil
}

// final is an error that asking again does not help.
type final struct{}

func (final) Error() string { return "revoked" }
func (final) Final() bool   { return true }

const never = 1000 * time.Hour

var (
	errLink = errors.New("cut")
	one     = chunk.Sum([]byte("one"))
)

// took is how long call took on the synthetic clock.
func took(call func()) time.Duration {
	start := time.Now()
	call()
	return time.Since(start)
}

// All who wait for one chunk wait for one fetch of it.
func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{took: time.Second}
		s := New(Options{Demand: l, Bulk: l})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if b, err := s.Demand(t.Context(), one); err != nil || chunk.ID(b) != one {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if s.Waiting() != 50 {
			t.Errorf("%d wait", s.Waiting())
		}
		all.Wait()
		if l.calls.Load() != 1 {
			t.Errorf("%d fetches", l.calls.Load())
		}
	})
}

// Who gives up does not take the others with him.
func TestLeaderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{took: time.Second}
		s := New(Options{Demand: l, Bulk: l})
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := s.Demand(ctx, one); !errors.Is(err, context.Canceled) {
				t.Errorf("the one who gave up: %v", err)
			}
		})
		synctest.Wait()
		for range 3 {
			all.Go(func() {
				if _, err := s.Demand(t.Context(), one); err != nil {
					t.Errorf("one who waits on: %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		all.Wait()
		if s.Waiting() != 0 {
			t.Errorf("%d wait", s.Waiting())
		}
	})
}

// Where nothing answers, a demand ends at the deadline, and once that is known it
// ends early; the first answer makes all well (design, Offline).
func TestDeadlineAndOffline(t *testing.T) {
	for _, err := range []error{errLink, nil} { // refused at once, or no answer at all
		synctest.Test(t, func(t *testing.T) {
			l := &link{err: err}
			if err == nil {
				l.took = never
			}
			s := New(Options{Demand: l, Bulk: l, Deadline: 30 * time.Second, Known: 2 * time.Second})
			demand := func(want time.Duration) {
				t.Helper()
				var err error
				d := took(func() { _, err = s.Demand(t.Context(), one) })
				if !errors.Is(err, ErrOffline) || d > want {
					t.Errorf("after %v: %v; want an end within %v", d, err, want)
				}
			}
			if s.Offline() != nil {
				t.Error("offline before anybody asked")
			}
			demand(30 * time.Second)
			time.Sleep(3 * time.Second) // synthetic: it is known once the deadline is behind
			if err := s.Offline(); !errors.Is(err, ErrOffline) {
				t.Errorf("offline: %v", err)
			}
			demand(2 * time.Second)
			l.set(time.Millisecond, nil)
			if _, err := s.Demand(t.Context(), one); err != nil || s.Offline() != nil {
				t.Errorf("the link is back: %v, %v", err, s.Offline())
			}
		})
	}
}

// A link that comes back within the deadline is waited for.
func TestBackInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{err: errLink}
		s := New(Options{Demand: l, Bulk: l})
		time.AfterFunc(20*time.Second, func() { l.set(0, nil) })
		var err error
		if d := took(func() { _, err = s.Demand(t.Context(), one) }); err != nil || d > 23*time.Second {
			t.Errorf("after %v: %v", d, err)
		}
	})
}

// What asking again does not help is told at once; damage is asked for once more.
func TestFinalErrors(t *testing.T) {
	for _, c := range []struct {
		err   error
		calls int64
	}{{chunk.ErrNotFound, 1}, {final{}, 1}, {chunk.ErrDamaged, 2}} {
		synctest.Test(t, func(t *testing.T) {
			l := &link{err: fmt.Errorf("chunk: %w", c.err)}
			s := New(Options{Demand: l, Bulk: l})
			var err error
			d := took(func() { _, err = s.Demand(t.Context(), one) })
			if !errors.Is(err, c.err) || errors.Is(err, ErrOffline) || d > time.Second || l.calls.Load() != c.calls {
				t.Errorf("%v: %v after %v and %d calls", c.err, err, d, l.calls.Load())
			}
			if s.Offline() != nil {
				t.Errorf("%v is an answer, not a silence", c.err)
			}
		})
	}
}

// A demand waits for nothing that nobody demanded (invariant 5): the background
// may be stuck, and have asked for the same chunk before.
func TestDemandBesideBulk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		demand, stuck := &link{took: time.Second}, &link{took: never}
		s := New(Options{Demand: demand, Bulk: stuck})
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := chunk.Get(ctx, s.Bulk(), one); !errors.Is(err, context.Canceled) {
				t.Errorf("the background: %v", err)
			}
		})
		synctest.Wait()
		var err error
		if d := took(func() { _, err = s.Demand(t.Context(), one) }); err != nil || d != time.Second {
			t.Errorf("after %v: %v", d, err)
		}
		cancel()
		all.Wait()
	})
}

// What the background finds out, a demand need not find out again: once nothing
// has answered for the deadline, it fails early, with words (invariant 9).
func TestBackgroundKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, cut := &link{took: never}, &link{err: errLink}
		s := New(Options{Demand: dead, Bulk: cut})
		for range 2 {
			if _, err := chunk.Get(t.Context(), s.Bulk(), one); !errors.Is(err, errLink) {
				t.Errorf("the background: %v", err)
			}
			time.Sleep(31 * time.Second)
		}
		var err error
		if d := took(func() { _, err = s.Demand(t.Context(), one) }); !errors.Is(err, ErrOffline) || d > 2*time.Second {
			t.Errorf("after %v: %v", d, err)
		}
		cut.set(0, nil)
		if _, err := chunk.Get(t.Context(), s.Bulk(), one); err != nil || s.Offline() != nil {
			t.Errorf("the link is back: %v, %v", err, s.Offline())
		}
	})
}

// The background gives way: Quiet returns when the last demand is over.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{took: time.Second}
		s := New(Options{Demand: l, Bulk: l})
		if d := took(func() { _ = s.Quiet(t.Context()) }); d != 0 {
			t.Errorf("quiet after %v", d)
		}
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() { _, _ = s.Demand(t.Context(), chunk.Sum([]byte{byte(i)})) })
		}
		synctest.Wait()
		if d := took(func() { _ = s.Quiet(t.Context()) }); d != time.Second {
			t.Errorf("quiet after %v", d)
		}
		all.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Quiet(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("quiet for one who gave up: %v", err)
		}
	})
}

// Trees and lists are read through the demand side in order, with each chunk's own error.
func TestDemanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, _ := chunk.Map{}.Put([]byte("here"))
		m := chunk.Map{}
		_, _ = m.Put([]byte("here"))
		s := New(Options{Demand: m, Bulk: m})
		var got []error
		err := s.Demanded().Fetch(t.Context(), []chunk.ID{here, one}, func(i int, plain []byte, err error) error {
			if i != len(got) || i == 0 && string(plain) != "here" {
				t.Errorf("chunk %d: %q", i, plain)
			}
			got = append(got, err)
			return nil
		})
		if err != nil || len(got) != 2 || got[0] != nil || !errors.Is(got[1], chunk.ErrNotFound) {
			t.Errorf("%v, %v", got, err)
		}
		stop := errors.New("stop")
		if err := s.Demanded().Fetch(t.Context(), []chunk.ID{here, one}, func(int, []byte, error) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("the callback's error: %v", err)
		}
	})
}
