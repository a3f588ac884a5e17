package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// Invariant 5: a device that takes nothing of what it asked for, and sends nothing of what it announced, keeps no place
// that another needs.
func TestOneDeviceTakesNotAllPlaces(t *testing.T) {
	w := newWorld(t, Options{Windows: windowShare + 2, Uploads: uploadShare + 1})
	d := makeDesktop(t, 1, 8)
	w.centralize(t, 1, "desk", d)
	w.exec(t, `insert into assignments (cvd_id, device_id, creator) select id, 2, 'x' from cvds`)
	session := w.begin(t, 1, "desk")
	var all sync.WaitGroup
	taken, let := make(chan struct{}), make(chan struct{})
	for i := range 4 * windowShare {
		ids := d.order
		if i%2 == 0 {
			ids = ids[:DemandMax]
		}
		all.Go(func() { _ = w.Fetch(t.Context(), 1, ids, Pace{}, &slowTaker{taken: taken, let: let}) })
	}
	for range windowShare { // these hold a place each; the others wait or have none left to wait for
		<-taken
	}
	silent, end := io.Pipe()
	for range 3 * uploadShare {
		all.Go(func() { _, _ = w.Upload(t.Context(), 1, session, silent, -1) })
	}
	for len(w.uploads.all) < uploadShare {
		time.Sleep(time.Millisecond)
	}
	if got := w.fetch(t, 2, d, d.order); count(got, wire.FrameOK) != len(d.order) {
		t.Errorf("another device got %d chunks of %d in bulk", count(got, wire.FrameOK), len(d.order))
	}
	if got := w.fetch(t, 2, d, d.order[:1]); got[d.order[0]] != wire.FrameOK {
		t.Error("another device's demand got nothing")
	}
	w.centralize(t, 2, "other", makeDesktop(t, 2, 2))
	close(let)
	end.Close()
	go func() {
		for range taken {
		}
	}()
	all.Wait()
	close(taken)
	for _, p := range []*places{w.bulk, w.demand, w.uploads} {
		if len(p.all) != 0 || len(p.of) != 0 {
			t.Errorf("%d places are not given back, %d devices are remembered", len(p.all), len(p.of))
		}
	}
}

// Invariant 5: what a limit holds back keeps no place that a device without one needs.
func TestLimitedTakesNoPlaces(t *testing.T) {
	w := newWorld(t, Options{Windows: 1})
	d := makeDesktop(t, 1, 8)
	w.centralize(t, 1, "desk", d)
	w.exec(t, `insert into assignments (cvd_id, device_id, creator) select id, 2, 'x' from cvds`)
	var all sync.WaitGroup
	taken, let := make(chan struct{}), make(chan struct{})
	limit := func() float64 { return RateMin }
	ctx, cancel := context.WithCancel(t.Context())
	for _, how := range []Pace{{Limit: limit}, {Demand: true, Limit: limit}} {
		all.Go(func() { _ = w.Fetch(ctx, 1, d.order, how, &slowTaker{taken: taken, let: let}) })
		<-taken // it holds a place
	}
	if got := w.fetch(t, 2, d, d.order); count(got, wire.FrameOK) != len(d.order) {
		t.Errorf("another device got %d chunks of %d in bulk", count(got, wire.FrameOK), len(d.order))
	}
	if got := w.fetch(t, 2, d, d.order[:1]); got[d.order[0]] != wire.FrameOK {
		t.Error("another device's demand got nothing")
	}
	cancel()
	close(let)
	go func() {
		for range taken {
		}
	}()
	all.Wait()
	close(taken)
	for _, p := range []*places{w.slowBulk, w.slowDemand} {
		if len(p.all) != 0 || len(p.of) != 0 {
			t.Errorf("%d places are not given back, %d devices are remembered", len(p.all), len(p.of))
		}
	}
}

// A window that is sent slowly is as large as what is sent of it in half a second.
func TestWindowsFollowTheRate(t *testing.T) {
	for _, c := range []struct {
		asked, limit float64
		want         int
	}{
		{0, 0, windowBytes},
		{1e9, 0, windowBytes},
		{1e9, 1e9, windowBytes},
		{256 << 10, 0, 128 << 10},
		{1, 0, windowMin},
		{0, 16 << 10, windowMin},
		{1e9, 16 << 10, windowMin},
		{1e9, 256 << 10, 128 << 10},
		{1e9, 1 << 20, windowBytes / slowPlaces},
	} {
		f := fetch{line: new(lines).use(1), how: Pace{Pieces: true, Limit: func() float64 { return c.limit }}}
		f.line.ask(c.asked)
		if got := f.most(); got != c.want {
			t.Errorf("asked for %v, allowed %v: windows of %d bytes, want %d", c.asked, c.limit, got, c.want)
		}
	}
}

// An upload that finds no place is told to come again, so that nothing waits for a client that is gone.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(2, 1)
		leave, err := p.enterSoon(t.Context(), 1, placeTime)
		must(t, err)
		if _, err := p.enterSoon(t.Context(), 1, placeTime); !errors.Is(err, wire.ErrUnavailable) {
			t.Errorf("no place in time: %v", err)
		}
		other, err := p.enterSoon(t.Context(), 2, placeTime)
		must(t, err)
		if _, err := p.enterSoon(t.Context(), 3, placeTime); !errors.Is(err, wire.ErrUnavailable) {
			t.Errorf("no place in time: %v", err)
		}
		leave()
		other()
		if len(p.of) != 0 {
			t.Errorf("%d devices are remembered", len(p.of))
		}
	})
}

// slowPeer takes a piece in each pause, as far as its deadline allows.
type slowPeer struct {
	bytes.Buffer
	pause time.Duration
	until time.Time
}

func (p *slowPeer) SetWriteDeadline(t time.Time) error {
	p.until = t
	return nil
}

func (p *slowPeer) Write(b []byte) (int, error) {
	if end := time.Now().Add(p.pause); !p.until.IsZero() && end.After(p.until) {
		time.Sleep(time.Until(p.until))
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(p.pause)
	return p.Buffer.Write(b)
}

// Invariant 5: a peer that takes nothing is cut off soon, one that takes next to nothing in time, and a slow line gets
// the longest frame there is.
func TestPace(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause time.Duration // for each 64 KiB
		all   bool
		most  time.Duration
	}{
		{"256 kbit/s", 2 * time.Second, true, time.Minute},
		{"256 kbit/s, four requests at once", 8 * time.Second, true, 128 * time.Second},
		{"trickling", 19 * time.Second, false, 128 * time.Second},
		{"stalled", time.Hour, false, paceTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := &slowPeer{pause: tt.pause}
				p := &pace{w: peer, peer: peer}
				begun := time.Now()
				p.begin(windowBytes)
				n, err := p.Write(make([]byte, windowBytes))
				p.end()
				if (err == nil) != tt.all || (n == windowBytes) != tt.all || n != peer.Len() {
					t.Errorf("%d bytes were taken, %v", n, err)
				}
				if took := time.Since(begun); took > tt.most {
					t.Errorf("it held its place for %v", took)
				}
				if !peer.until.IsZero() {
					t.Error("the deadline outlives the place")
				}
			})
		})
	}
}
