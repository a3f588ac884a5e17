package prefetch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Invariant 5, as far as a pace can hold it: the line is full, and a demand that shares its queue hardly waits.
func TestPaceFillsTheLine(t *testing.T) {
	for _, link := range []struct {
		mbit  float64
		delay time.Duration
		queue time.Duration // that 95 of 100 demands at most meet
	}{
		{2, 150 * time.Millisecond, 35 * time.Millisecond},
		{20, 50 * time.Millisecond, 12 * time.Millisecond},
		{100, 20 * time.Millisecond, 8 * time.Millisecond},
		{300, 5 * time.Millisecond, 10 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(link.mbit, link.delay), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				used, queues := measure(t, newPacedLine(link.mbit, link.delay))
				t.Logf("used %.3f, queue %v", used, queues)
				if used < 0.95 {
					t.Errorf("%.3f of the line used", used)
				}
				if queues[1] > link.queue {
					t.Errorf("a demand waits for %v, want at most %v", queues[1], link.queue)
				}
			})
		})
	}
}

// A machine that is late itself, in half of all steps, does not take its line for a slow one.
func TestPaceBearsALateMachine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		l := newPacedLine(20, 50*time.Millisecond)
		l.late = func() time.Duration {
			if r.IntN(2) == 0 {
				return time.Duration(r.ExpFloat64() * float64(15*time.Millisecond))
			}
			return 0
		}
		used, queues := measure(t, l)
		t.Logf("used %.3f, queue %v", used, queues)
		if used < 0.8 {
			t.Errorf("%.3f of the line used", used)
		}
	})
}

// A line that becomes another one: soon it is full again, and no queue stands on it.
func TestPaceFollowsTheLine(t *testing.T) {
	for _, to := range []struct {
		mbit  float64
		delay time.Duration
	}{{4, 20 * time.Millisecond}, {100, 20 * time.Millisecond}, {20, 120 * time.Millisecond}} {
		t.Run(fmt.Sprint(to), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newPacedLine(20, 20*time.Millisecond)
				time.AfterFunc(6*time.Second, func() {
					l.mu.Lock()
					defer l.mu.Unlock()
					l.rate, l.delay = to.mbit*1e6/8, to.delay
				})
				l.settle = 20 * time.Second
				used, queues := measure(t, l)
				t.Logf("used %.3f, queue %v", used, queues)
				if used < 0.9 || queues[1] > 50*time.Millisecond {
					t.Errorf("%.3f of the line used, a demand waits for %v", used, queues[1])
				}
			})
		})
	}
}

// A limit far below the line, from the start or later: the pace keeps to it, and nothing that was asked for waits at the
// sender as long as a cut link would be silent. When it has gone the line is full again.
func TestPaceKeepsToALimit(t *testing.T) {
	for _, link := range []struct {
		mbit  float64
		limit float64
		from  time.Duration
	}{{20, 16 << 10, 0}, {100, 100e6 / 8 / 50, 10 * time.Second}, {300, 1 << 20, 10 * time.Second}} {
		t.Run(fmt.Sprint(link), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newPacedLine(link.mbit, 20*time.Millisecond)
				set := func(limit float64) {
					l.mu.Lock()
					defer l.mu.Unlock()
					l.limit, l.waited = limit, 0
				}
				time.AfterFunc(link.from, func() { set(link.limit) })
				time.AfterFunc(link.from+30*time.Second, func() { // what was asked for before is here
					l.mu.Lock()
					defer l.mu.Unlock()
					l.waited = 0
				})
				time.AfterFunc(link.from+2*time.Minute, func() {
					l.mu.Lock()
					defer l.mu.Unlock()
					if l.asks > link.limit || l.waited > 8*time.Second {
						t.Errorf("asks for %v with a limit of %v; a batch waited %v", l.asks, link.limit, l.waited)
					}
					l.limit = 0
				})
				l.settle = link.from + 2*time.Minute + 20*time.Second
				used, queues := measure(t, l)
				t.Logf("used %.3f, queue %v", used, queues)
				if used < 0.9 {
					t.Errorf("%.3f of the line used after the limit", used)
				}
			})
		})
	}
}

// A machine that stood still for ten minutes, of which its clock knows nothing, has no queue of ten minutes; nor does a
// shorter pause keep the pace down for long.
func TestPaceBearsLeapsOfTheClock(t *testing.T) {
	for _, leap := range []time.Duration{10 * time.Minute, -10 * time.Minute, 3 * time.Second} {
		t.Run(leap.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newPacedLine(20, 20*time.Millisecond)
				time.AfterFunc(10*time.Second, func() {
					l.mu.Lock()
					defer l.mu.Unlock()
					l.leapt = leap
				})
				l.settle = 12 * time.Second
				if leap < clockLeap && leap > 0 {
					l.settle = 40 * time.Second // it may be a queue
				}
				used, queues := measure(t, l)
				t.Logf("used %.3f, queue %v", used, queues)
				if used < 0.9 {
					t.Errorf("%.3f of the line used", used)
				}
			})
		})
	}
}

// measure fills a line without end, and gives the part of it that is used, and the queue that half, 95 and 99 of 100
// demands meet.
func measure(t *testing.T, l *pacedLine) (used float64, queues [3]time.Duration) {
	t.Helper()
	_, files := desktop(20_000, 30_000, 2)
	files["big/1"], files["big/2"] = 200<<20, 8<<30
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- NewRunner(planOf(treeOf(files)), l, Options{}).Run(ctx) }()
	time.Sleep(max(l.settle, 5*time.Second))
	before, _ := l.state()
	var all []time.Duration
	for range 3000 {
		time.Sleep(17 * time.Millisecond)
		_, queue := l.state()
		all = append(all, queue)
	}
	after, _ := l.state()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	slices.Sort(all)
	return (after - before) / l.rate / (3000 * 0.017), [3]time.Duration{all[1500], all[2850], all[2970]}
}
