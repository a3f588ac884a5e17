package session

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Pace says how an answer is to be sent. The zero value is for an endpoint that says nothing about it: what asks for few
// chunks is a demand, and the rest goes out as fast as it can.
type Pace struct {
	// Demand says that somebody waits for the bytes.
	Demand bool
	// Pieces says that the body is to come in pieces, and that from now on all such answers to the device are to come at
	// Rate bytes a second together; 0 is as fast as they can.
	Pieces bool
	Rate   float64
	// Limit gives the bytes a second that the device may have at this moment, 0 where there is no limit; nil is none ever.
	Limit func() float64
}

// Bounds of what is written at once: a few milliseconds of the rate, because a demand waits behind it on the line.
const (
	pieceTime  = 2 * time.Millisecond
	pieceMin   = 2 << 10
	pieceMax   = 32 << 10
	pieceExtra = 64 // what a piece costs on the line beside its bytes, about: its head, HTTP, TLS
	// burstTime is how much goes at once where nothing was sent before, lateTime how much of what was missed is made good
	// at once where a machine that has too much to do is late, and the line stood still meanwhile.
	burstTime = 6 * time.Millisecond
	lateTime  = 50 * time.Millisecond
	// RateMin is the least rate: below it, a peer that keeps the pace would count as one that does not take its bytes.
	RateMin = 16 << 10
	// debtMax is how far demands push back what is paced.
	debtMax = 2 * time.Second
	// turnTime is how long a paced answer waits for those before it, in all; then it goes on beside them. It is well below
	// the silence that an endpoint takes for a cut link (remote.Limits).
	turnTime = 8 * time.Second
	// yieldTime is how long a piece waits for demands that a limit holds back; then it goes, so that its answer is heard of.
	yieldTime = 2 * time.Second
)

func pieceOf(at float64) int {
	if at == 0 {
		return pieceMax
	}
	return min(max(int(at*pieceTime.Seconds()), pieceMin), pieceMax)
}

// line is what the answers to a device share: one bucket of bytes, and the turns of those that are paced. They are sent
// one after another, so that on the line a demand meets the bytes of one of them, not of all.
type line struct {
	bucket *rate.Limiter
	ahead  chan struct{} // who may read what it will write: the one that writes and the next
	turn   chan struct{} // who may write

	mu    sync.Mutex    // guards what follows, and changes of the bucket
	asked float64       // the rate that the device asked for last, 0 for none
	at    float64       // what the bucket is set to
	up    *rate.Limiter // of what the device sends

	demands int           // that a limit holds back are being written,
	quiet   chan struct{} // which is closed when they are written

	users int // guarded by lines
}

// ask sets the rate of what is paced.
func (l *line) ask(rate float64) {
	l.mu.Lock()
	l.asked = rate
	l.mu.Unlock()
}

// limit is what the device may have at this moment, 0 for no limit.
func (p *Pace) limit() float64 {
	if p.Limit == nil {
		return 0
	}
	return p.Limit()
}

// rate is that of an answer at this moment, 0 for none.
func (l *line) rate(how *Pace) float64 {
	limit := how.limit()
	if !how.Pieces {
		return limit
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == 0 || limit == 0 {
		return max(l.asked, limit)
	}
	return min(l.asked, limit)
}

// wait takes n bytes from the bucket at a rate, and says how long that took.
func (l *line) wait(ctx context.Context, at float64, n int) (waited time.Duration, err error) {
	if at == 0 {
		return 0, ctx.Err()
	}
	now := time.Now()
	waited = l.reserve(now, at, n)
	if waited <= 0 {
		return 0, ctx.Err()
	}
	t := time.NewTimer(waited)
	defer t.Stop()
	select {
	case <-t.C:
		return time.Since(now), nil
	case <-ctx.Done():
		return time.Since(now), ctx.Err()
	}
}

func (l *line) reserve(now time.Time, at float64, n int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at = max(at, RateMin); l.at != at {
		l.at = at
		l.bucket.SetLimitAt(now, rate.Limit(at))
		l.bucket.SetBurstAt(now, l.within(lateTime))
	}
	return l.bucket.ReserveN(now, n).DelayFrom(now)
}

// within is how many bytes go in a time, but two pieces at least.
func (l *line) within(d time.Duration) int {
	return max(int(l.at*d.Seconds()), 2*(pieceOf(l.at)+pieceExtra))
}

// rested empties the bucket of what gathered while there was nothing to send.
func (l *line) rested() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if more := int(l.bucket.TokensAt(now)) - l.within(burstTime); more > 0 {
		l.bucket.ReserveN(now, more)
	}
}

// spend takes from the bucket what a demand has sent, without waiting: the line carries it in the place of bulk.
func (l *line) spend(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for now := time.Now(); n > 0 && l.bucket.TokensAt(now) > -l.at*debtMax.Seconds(); {
		part := min(n, l.bucket.Burst())
		if part == 0 {
			return
		}
		l.bucket.ReserveN(now, part)
		n -= part
	}
}

// demanded has bulk give way to a demand that takes from the bucket, until done.
func (l *line) demanded() (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.demands++; l.demands == 1 {
		l.quiet = make(chan struct{})
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.demands--; l.demands == 0 {
			close(l.quiet)
		}
	}
}

// yield waits while such demands are written, and says how long that took.
func (l *line) yield(ctx context.Context) (waited time.Duration, err error) {
	l.mu.Lock()
	demands, quiet := l.demands, l.quiet
	l.mu.Unlock()
	if demands == 0 {
		return 0, nil
	}
	began, t := time.Now(), time.NewTimer(yieldTime)
	defer t.Stop()
	select {
	case <-quiet:
	case <-t.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return time.Since(began), err
}

// lines are those of the devices that something is sent to.
type lines struct {
	mu sync.Mutex
	of map[int64]*line
}

// use gives a device's line. Give it back with drop.
func (s *lines) use(device int64) *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.of[device]
	if l == nil {
		l = &line{
			bucket: rate.NewLimiter(0, 0), ahead: make(chan struct{}, 2), turn: make(chan struct{}, 1),
			up: rate.NewLimiter(rate.Inf, upMost),
		}
		if s.of == nil {
			s.of = map[int64]*line{}
		}
		s.of[device] = l
	}
	l.users++
	return l
}

func (s *lines) drop(device int64, l *line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(s.of, device)
	}
}

// enter waits for a turn, but not beyond a time.
func enter(ctx context.Context, turns chan struct{}, until time.Time) (leave func(), err error) {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-t.C:
		return func() {}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
