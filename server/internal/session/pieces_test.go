package session

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/wire"
)

// Answers in pieces hold what others do, whatever their pace, and the stamps of one clock.
func TestFetchInPieces(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 8)
	w.centralize(t, 1, "desk", d)
	want := w.answer(t, d.order, Pace{})
	for _, how := range []Pace{{Pieces: true}, {Pieces: true, Rate: 20 << 20}, {Pieces: true, Limit: func() float64 { return 20 << 20 }}} {
		last := time.Duration(-1)
		heard := 0
		r := &wire.PieceReader{R: bytes.NewReader(w.answer(t, d.order, how)), Heard: func(sent time.Duration) {
			if heard++; sent < last {
				t.Errorf("sent at %v after %v", sent, last)
			}
			last = sent
		}}
		got, err := io.ReadAll(r)
		if must(t, err); !bytes.Equal(got, want) || heard < 2 {
			t.Errorf("%d bytes in %d pieces, want %d", len(got), heard, len(want))
		}
	}
	limited := Pace{Limit: func() float64 { return 20 << 20 }}
	if got := w.answer(t, d.order, limited); !bytes.Equal(got, want) {
		t.Errorf("%d bytes for one who knows no pieces, want %d", len(got), len(want))
	}
	if w.lines.of[1] != nil {
		t.Error("a device is remembered that nothing is sent to")
	}
}

func (w *world) answer(t *testing.T, ids []chunk.ID, how Pace) []byte {
	t.Helper()
	var out bytes.Buffer
	must(t, w.Fetch(t.Context(), 1, ids, how, &out))
	return out.Bytes()
}

// Invariant 5: a demand waits for nothing that is paced, and a request without ids only sets the pace.
func TestDemandPassesPaced(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 8)
	w.centralize(t, 1, "desk", d)
	var all sync.WaitGroup
	taken, let := make(chan struct{}), make(chan struct{})
	for range 2 * windowShare {
		all.Go(func() {
			_ = w.Fetch(t.Context(), 1, d.order, Pace{Pieces: true, Rate: RateMin}, &slowTaker{taken: taken, let: let})
		})
	}
	<-taken // one of them has the turn, and its taker is stuck
	if got := w.fetch(t, 1, d, d.order[:1]); got[d.order[0]] != wire.FrameOK {
		t.Error("the demand got nothing")
	}
	w.answer(t, nil, Pace{Pieces: true, Rate: 1 << 30})
	close(let)
	go func() {
		for range taken {
		}
	}()
	all.Wait()
	close(taken)
}

// What is paced comes at its rate, less what demands were sent meanwhile, and no late timer makes a burst of it.
func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(lines).use(1)
		const at = 1 << 20
		send := func(n int) time.Duration {
			began := time.Now()
			for range n >> 10 {
				_, err := l.wait(t.Context(), at, 1<<10)
				must(t, err)
			}
			return time.Since(began)
		}
		if took := send(at); took < 990*time.Millisecond || took > time.Second {
			t.Errorf("a second's worth took %v", took)
		}
		l.spend(at / 2)
		if took := send(at); took < 1490*time.Millisecond || took > 1510*time.Millisecond {
			t.Errorf("a second's worth, and a demand of half of that, took %v", took)
		}
		time.Sleep(time.Minute)
		l.rested()
		if took := send(at); took < 990*time.Millisecond {
			t.Errorf("after a pause a second's worth took %v", took)
		}
	})
}

// However many turns an answer waits for, it waits once: the endpoint would take a longer silence for a cut link.
func TestTurnsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, taken := time.Now(), make(chan struct{})
		for range 2 {
			leave, err := enter(t.Context(), taken, began.Add(turnTime))
			must(t, err)
			leave()
		}
		if took := time.Since(began); took != turnTime {
			t.Errorf("two turns that never came were waited for %v", took)
		}
	})
}

// Invariant 5: a demand under a limit waits for no more of the device's bulk than is on its way, and bulk is still heard of
// when there are demands without end.
func TestBulkGivesWayToLimitedDemands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(lines).use(1)
		ctx, cancel := context.WithCancel(t.Context())
		var bulk, demanded bytes.Buffer
		limit := func() float64 { return RateMin }
		var all sync.WaitGroup
		all.Go(func() {
			_, _ = newSender(ctx, &Service{}, l, Pace{Pieces: true, Limit: limit}, &pace{w: &bulk}).Write(make([]byte, 1<<20))
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		before, began := bulk.Len(), time.Now()
		_, err := newSender(ctx, &Service{}, l, Pace{Demand: true, Limit: limit}, &pace{w: &demanded}).Write(make([]byte, 4*RateMin))
		must(t, err)
		if took := time.Since(began); took > 4500*time.Millisecond {
			t.Errorf("four seconds' worth took a demand %v", took)
		}
		if n := (bulk.Len() - before) / pieceMin; n < 2 || n > 4 {
			t.Errorf("%d pieces of bulk came meanwhile", n)
		}
		cancel()
		all.Wait()
	})
}

// The lower of what is asked for and what is allowed counts, at any moment.
func TestLineRate(t *testing.T) {
	l := new(lines).use(1)
	limit := 0.0
	how := Pace{Pieces: true, Limit: func() float64 { return limit }}
	for _, c := range []struct{ asked, limit, want float64 }{{0, 0, 0}, {5e6, 0, 5e6}, {5e6, 1e6, 1e6}, {5e5, 1e6, 5e5}, {0, 1e6, 1e6}} {
		l.ask(c.asked)
		limit = c.limit
		if got := l.rate(&how); got != c.want {
			t.Errorf("asked for %v, allowed %v: %v", c.asked, c.limit, got)
		}
	}
	if old := (Pace{Limit: how.Limit}); l.rate(&old) != 1e6 {
		t.Error("one who asks for no pace is not limited")
	}
}

// Uploads of a device are taken at its limit, all together.
func TestSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{}
		began := time.Now()
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				r := s.Slowly(t.Context(), 1, func() float64 { return 64 << 10 }, bytes.NewReader(make([]byte, 128<<10)))
				if n, err := io.Copy(io.Discard, r); n != 128<<10 || err != nil {
					t.Errorf("%d bytes: %v", n, err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("256 KiB at 64 KiB a second took %v", took)
		}
	})
}
