package fetch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
)

// wants are n chunks of 64 KiB, of which kept counts those that came.
func wants(n int, kept *int) []Want {
	all := make([]Want, n)
	for i := range all {
		all[i] = Want{ID: chunk.Sum([]byte{byte(i), byte(i >> 8)}), Size: 64 << 10, Keep: func([]byte) error { *kept++; return nil }}
	}
	return all
}

// bring fetches ahead.
func bring(ctx context.Context, t *testing.T, s *Scheduler, all []Want) []error {
	t.Helper()
	leave, err := s.Allow(ctx)
	if err != nil {
		t.Error(err)
		return nil
	}
	return leave.Fetch(ctx, all)
}

// A demand for what is under way ahead waits for that, and is one fetch with it; the
// background gives way to both.
func TestDemandJoinsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		demand, ahead := &link{took: time.Second}, &link{took: time.Second}
		s := New(Options{Demand: demand, Ahead: ahead, Bulk: demand})
		var all sync.WaitGroup
		kept := 0
		all.Go(func() {
			if err := errors.Join(bring(t.Context(), t, s, wants(2, &kept))...); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		first := wants(1, &kept)[0]
		if d := took(func() {
			b, err := s.Demand(t.Context(), first.ID)
			if err != nil || chunk.ID(b) != first.ID {
				t.Error(b, err)
			}
		}); d != time.Second || demand.calls.Load() != 0 {
			t.Errorf("after %v and %d calls", d, demand.calls.Load())
		}
		if d := took(func() { _ = s.Quiet(t.Context()) }); d != time.Second {
			t.Errorf("the background gave way for %v", d)
		}
		all.Wait()
		if kept != 2 {
			t.Errorf("%d kept", kept)
		}
	})
}

// A demand does not wait for what lies in front of its chunk in a request ahead,
// nor for one that fails, is given up, or stands (invariant 5).
func TestDemandBesideAhead(t *testing.T) {
	for what, c := range map[string]struct {
		took  time.Duration // of a chunk ahead
		err   error
		at    int // which is demanded
		until time.Duration
	}{
		"behind others": {time.Minute, nil, 9, time.Second},
		"failing":       {500 * time.Millisecond, errLink, 0, 1500 * time.Millisecond},
		"standing":      {never, nil, 0, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			demand, ahead := &link{took: time.Second}, &link{took: c.took, err: c.err}
			s := New(Options{Demand: demand, Ahead: ahead, Bulk: demand})
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			kept := 0
			all.Go(func() { bring(ctx, t, s, wants(10, &kept)) })
			synctest.Wait()
			w := wants(10, &kept)[c.at]
			if d := took(func() {
				if _, err := s.Demand(t.Context(), w.ID); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}); d > c.until {
				t.Errorf("%s: after %v", what, d)
			}
			cancel()
			all.Wait()
			if len(s.flights) != 0 || s.used != 0 || s.sweeping != 0 {
				t.Errorf("%s: %d flights, %d bytes and %d requests are left", what, len(s.flights), s.used, s.sweeping)
			}
		})
	}
}

// What was kept while somebody was about to ask is not fetched again, by either side.
func TestKeptMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{took: time.Second}
		s := New(Options{Demand: l, Bulk: l})
		w := Want{ID: one, Size: 1, Absent: func() bool { return false }, Keep: func([]byte) error { return errors.New("kept twice") }}
		if err := s.Bring(t.Context(), w); err != nil {
			t.Error(err)
		}
		if err := errors.Join(bring(t.Context(), t, s, []Want{w, w})...); err != nil {
			t.Error(err)
		}
		if l.calls.Load() != 0 || len(s.flights) != 0 || s.used != 0 {
			t.Errorf("%d fetches, %d flights and %d bytes are left", l.calls.Load(), len(s.flights), s.used)
		}
	})
}

// One chunk for several files is fetched once, also where it is under way already.
func TestOneChunkForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{took: time.Second}
		s := New(Options{Demand: l, Bulk: l})
		kept := 0
		w := wants(1, &kept)[0]
		var all sync.WaitGroup
		all.Go(func() { _, _ = s.Demand(t.Context(), w.ID) })
		synctest.Wait()
		if err := errors.Join(bring(t.Context(), t, s, []Want{w, w})...); err != nil || kept != 2 || l.calls.Load() != 1 {
			t.Errorf("%v; %d kept, %d fetches", err, kept, l.calls.Load())
		}
		if err := errors.Join(bring(t.Context(), t, s, []Want{w, w, w})...); err != nil || kept != 5 || l.calls.Load() != 2 {
			t.Errorf("%v; %d kept, %d fetches", err, kept, l.calls.Load())
		}
		all.Wait()
	})
}

// wire is a source behind a line of a rate and a delay, which its requests share.
type wire struct {
	rate  float64
	delay time.Duration
	mu    sync.Mutex
	free  time.Time
	most  time.Duration // what ever stood before the line
}

func (l *wire) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	time.Sleep(l.delay / 2)
	here := l.queue(len(ids))
	for i, id := range ids {
		select {
		case <-time.After(time.Until(here[i])):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := got(i, id[:], nil); err != nil {
			return err
		}
	}
	return nil
}

// queue sends n chunks behind all that is on its way, and returns when they arrive.
func (l *wire) queue(n int) (here []time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	l.most = max(l.most, time.Until(l.free))
	for range n {
		l.free = l.free.Add(time.Duration(64 << 10 / l.rate * float64(time.Second)))
		here = append(here, l.free.Add(l.delay/2))
	}
	return here
}

// What may be under way grows to what the line holds, fills it, and not much more.
func TestLineIsFilled(t *testing.T) {
	for _, l := range []*wire{
		{rate: 250e3, delay: 150 * time.Millisecond},
		{rate: 2.5e6, delay: 50 * time.Millisecond},
		{rate: 12.5e6, delay: 20 * time.Millisecond},
		{rate: 12.5e6, delay: 200 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := New(Options{Demand: l, Bulk: l, Known: time.Minute})
			const chunks = 2000
			var all sync.WaitGroup
			start, kept, at := time.Now(), 0, 0
			list := wants(chunks, &kept)
			var mu sync.Mutex
			for i := range list {
				keep := list[i].Keep
				list[i].Keep = func(b []byte) error { mu.Lock(); defer mu.Unlock(); return keep(b) }
			}
			for at < chunks {
				leave, err := s.Allow(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				n := min(max(int(leave.Bytes>>16), 1), chunks-at)
				part := list[at : at+n]
				at += n
				all.Go(func() { leave.Fetch(t.Context(), part) })
			}
			all.Wait()
			best := time.Duration(chunks * (64 << 10) / l.rate * float64(time.Second))
			if took := time.Since(start); kept != chunks || took > best*10/9+2*time.Second {
				t.Errorf("%.0f bytes/s %v: %d chunks took %v, at best %v", l.rate, l.delay, kept, took, best)
			}
			t.Logf("%.0f bytes/s, delay %v: %.2f of the line, %d bytes under way, a queue of at most %v",
				l.rate, l.delay, best.Seconds()/time.Since(start).Seconds(), s.Holds(), l.most)
		})
	}
}
