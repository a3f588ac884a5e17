package link

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// slack is how far the line may lag behind the clock and still catch
	// up, while it has something to send: timers can be late by so much on a
	// busy machine, and must not take from the rate.
	slack = 50 * time.Millisecond

	minSegment = 1448
	maxSegment = 16 << 10
	minBuffer  = 32 << 10
	// what a line without a rate holds in its buffer
	freeBuffer = 4 << 20
)

// A lane is one direction of a link: one line that all flows share. It sends
// one segment at a time, the flows taking turns.
type lane struct {
	gate  *gate
	moved atomic.Int64 // bytes that have crossed the line
	wake  chan struct{}

	mu     sync.Mutex
	rate   Rate
	delay  time.Duration // one way
	jitter time.Duration
	loss   float64
	single bool      // segments go in the order in which they came, whosever they are
	buffer int       // bytes that may wait before the line; 0 is by rate and delay
	free   time.Time // when the line has sent what it has taken, by its rate
	turn   []*flow   // flows with something to send, the next one first; if single, once for each segment
}

func newLane(g *gate, rate Rate, o Options) *lane {
	return &lane{
		gate: g, wake: make(chan struct{}, 1),
		rate: rate, delay: o.Delay / 2, jitter: o.Jitter, buffer: o.Buffer, loss: o.Loss, single: o.Single,
	}
}

// run sends until ctx is done.
func (l *lane) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for l.gate.pass(ctx) == nil {
		wait := l.send(time.Now())
		if wait == 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-timer.C:
		}
	}
}

// send puts one segment on the line, if there is one and the line is free,
// and says how long to wait before the next call.
func (l *lane) send(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.turn) == 0 {
		return time.Hour
	}
	if wait := l.free.Sub(now); wait > 0 {
		return wait
	}
	f := l.turn[0]
	l.turn = l.turn[1:]
	s := f.takeLocked()
	if len(f.waiting) > 0 && !l.single {
		l.turn = append(l.turn, f)
	}
	l.free = later(l.free, now.Add(-slack)).Add(l.rate.takes(len(s.bytes)))
	s.due = l.free.Add(l.delay)
	if l.jitter > 0 {
		s.due = s.due.Add(rand.N(l.jitter))
	}
	if l.loss > 0 && rand.Float64() < l.loss {
		s.due = s.due.Add(2 * l.delay) // it is missed, asked for, and sent again
	}
	l.moved.Add(int64(len(s.bytes)))
	f.departLocked(s)
	return 0
}

// joinLocked gives f its turn. A line that was idle starts now.
func (l *lane) joinLocked(f *flow) {
	if len(l.turn) == 0 {
		l.free = later(l.free, time.Now())
	}
	l.turn = append(l.turn, f)
}

// nudge tells the lane that there is something to send.
func (l *lane) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// resume makes the line start anew, without catching up.
func (l *lane) resume() {
	l.mu.Lock()
	l.free = later(l.free, time.Now())
	l.mu.Unlock()
}

func (l *lane) setRate(r Rate) {
	l.mu.Lock()
	l.rate = r
	l.mu.Unlock()
	l.nudge()
}

func (l *lane) setDelay(delay, jitter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay, l.jitter = delay, jitter
}

func (l *lane) setLoss(part float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loss = part
}

// segment is the size in which flows take turns: a millisecond of the line,
// but not smaller than a packet.
func (l *lane) segment() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segmentLocked()
}

func (l *lane) segmentLocked() int {
	if l.rate == 0 {
		return maxSegment
	}
	return min(max(l.rate.bytesIn(time.Millisecond), minSegment), maxSegment)
}

// bufferLocked is how many bytes may wait before the line in all.
func (l *lane) bufferLocked() int {
	switch {
	case l.buffer > 0:
		return l.buffer
	case l.rate == 0:
		return freeBuffer
	}
	return max(l.rate.bytesIn(2*2*l.delay), minBuffer)
}

// roomLocked says whether a flow with these bytes before the line, and these
// on their way behind it, may hand in more. Each flow has an equal share of
// the buffer, or may fill as much of the one queue that all have. What is on
// its way is bounded too, as by a receiver's window, so that a receiver who
// does not read stops the sender.
func (l *lane) roomLocked(waiting, onWay int) bool {
	share := l.bufferLocked()
	if !l.single {
		share = max(share/max(len(l.turn), 1), 2*l.segmentLocked())
	}
	pipe := max(l.rate.bytesIn(2*l.delay+2*l.jitter), minBuffer)
	if l.rate == 0 {
		pipe = 4 * freeBuffer
	}
	return waiting < share && waiting+onWay < share+pipe
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
