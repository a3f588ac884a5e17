package prefetch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// line is a Filler over a link with a rate and a delay, on the bubble's clock: what is asked comes delay later, and behind
// everything asked before.
type line struct {
	rate  float64       // bytes a second
	delay time.Duration // round trip
	disk  time.Duration // for each file

	mu       sync.Mutex
	busy     time.Time                // until when it is taken
	asked    map[string]time.Duration // when an item was last asked for, from the making of the line
	made     time.Time
	got      []string // items, in the order of coming
	bytes    uint64
	pieces   map[string]uint64
	flying   int
	peak     int
	fills    int
	refuse   func(items []Item) error // before the line is used
	demanded chan struct{}            // closed while nobody waits
}

func newLine(mbit float64, delay time.Duration) *line {
	l := &line{rate: mbit * 1e6 / 8, delay: delay, made: time.Now(), asked: map[string]time.Duration{}, pieces: map[string]uint64{}, demanded: make(chan struct{})}
	close(l.demanded)
	return l
}

func (l *line) carry(ctx context.Context, items []Item, n uint64) error {
	l.mu.Lock()
	l.fills++
	for _, it := range items {
		l.asked[it.Path] = time.Since(l.made)
	}
	l.flying++
	l.peak = max(l.peak, l.flying)
	var err error
	if l.refuse != nil {
		err = l.refuse(items)
	}
	now := time.Now()
	at := now.Add(l.delay)
	if _, some := asPartial(err); err == nil || some {
		if at.Before(l.busy) {
			at = l.busy
		}
		at = at.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
		l.busy = at
	}
	l.mu.Unlock()
	defer func() { l.mu.Lock(); l.flying--; l.mu.Unlock() }()
	if e := pause(ctx, at.Sub(now)+l.disk*time.Duration(len(items))); e != nil {
		return e
	}
	return err
}

func (l *line) Fill(ctx context.Context, batch []Item) error {
	var n uint64
	for _, it := range batch {
		n += it.bytes()
	}
	err := l.carry(ctx, batch, n)
	p, some := asPartial(err)
	if err != nil && !some {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, it := range batch {
		if !some || p.Errs[i] == nil {
			l.got = append(l.got, it.Path)
			l.bytes += it.bytes()
		}
	}
	return err
}

// queue is how long a demand that comes now would wait for what was asked before it.
func (l *line) queue() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(time.Until(l.busy)-l.delay, 0)
}

// sofar is how many bytes have come.
func (l *line) sofar() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// cutLine can also bring pieces of files.
type cutLine struct{ *line }

func (l cutLine) FillRange(ctx context.Context, it Item, off, n uint64) error {
	if err := l.carry(ctx, []Item{it}, n); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += n
	if l.pieces[it.Path] += n; l.pieces[it.Path] == it.Size {
		l.got = append(l.got, it.Path)
	}
	return nil
}

// politeLine knows demand.
type politeLine struct{ *line }

func (l politeLine) Quiet(ctx context.Context) error {
	l.mu.Lock()
	quiet := l.demanded
	l.mu.Unlock()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// desktop makes a tree of n files of mean bytes, as sizes are spread on desktops: many small, few large.
func desktop(n int, mean uint64, seed uint64) (*memTree, map[string]uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	files := make(map[string]uint64, n)
	for i := range n {
		size := uint64(r.ExpFloat64() * r.ExpFloat64() * float64(mean))
		files[fmt.Sprintf("d%d/e%d/f%d", i/1000, i/10, i)] = size
	}
	return treeOf(files), files
}

func sum(files map[string]uint64) (n uint64) {
	for _, size := range files {
		n += size
	}
	return n
}

// bubble runs fn on a synthetic clock with a jitter that is always the whole wait. What is left running fails the test.
func bubble(t *testing.T, fn func(t *testing.T)) { synctest.Test(t, fn) }

func steady() float64 { return 1 }

// wantAll checks that every file came exactly once.
func wantAll(t *testing.T, l *line, files map[string]uint64) {
	t.Helper()
	got := slices.Sorted(slices.Values(l.got))
	if n := len(got); n != len(files) {
		t.Errorf("%d files came, want %d", n, len(files))
	}
	if len(slices.Compact(got)) != len(l.got) {
		t.Errorf("some files came twice")
	}
	if l.bytes != sum(files) {
		t.Errorf("%d bytes came, want %d", l.bytes, sum(files))
	}
}
