package fetch

import "time"

// Bounds of what is under way ahead of demand, in plain bytes.
const (
	opening = 128 << 10 // before anything is known of the line
	floor   = 128 << 10
	ceiling = 16 << 20
	parts   = 4 // requests that share it, each on its connection: while one is answered the next ones are on their way
)

// slack is what may be under way beyond what the line holds: the time of whoever
// answers, and of the disk.
const slack = 25 * time.Millisecond

// delayFor is for how long a delay counts; ratesKept is how many requests back the rate is looked for.
const (
	delayFor  = 10 * time.Second
	ratesKept = 16
)

// line is what is known of the way to the server: what it holds is its rate
// times its delay. As with BBR, the rate is the largest of the last requests', and
// the delay the least of the last seconds; requests that did not fill the line say
// nothing about it but that it is faster. What waits before the line would pass for
// its delay and have more be sent: so now and then one request goes alone.
type line struct {
	delivered uint64
	rates     [ratesKept]float64 // bytes a second
	at        int
	delay     time.Duration // until an answer begins; 0 is not known
	probed    time.Time     // when the delay was last measured alone
}

// rate is in bytes a second, 0 if it is not known.
func (l *line) rate() (best float64) {
	for _, r := range l.rates {
		best = max(best, r)
	}
	return best
}

// limit is how many bytes may be under way: twice what the line holds, for more is
// only found out by trying.
func (l *line) limit() uint64 {
	rate := l.rate()
	if rate == 0 {
		return opening
	}
	held := rate * (2*l.delay + slack).Seconds()
	return uint64(min(max(held, floor), ceiling))
}

// stale says that the delay is to be measured anew.
func (l *line) stale(now time.Time) bool { return l.delay > 0 && now.Sub(l.probed) > delayFor }

// began notes how long the first chunk of an answer took; alone says that nothing
// else was under way.
func (l *line) began(took time.Duration, alone bool, now time.Time) {
	took = max(took, time.Microsecond)
	if alone || l.delay == 0 {
		l.probed = now
	} else {
		took = min(took, l.delay)
	}
	l.delay = took
}

// ended notes how many bytes came while a request was under way.
func (l *line) ended(bytes uint64, took time.Duration, full bool) {
	rate := float64(bytes) / max(took, time.Microsecond).Seconds()
	if !full && rate <= l.rate() {
		return
	}
	l.rates[l.at] = rate
	l.at = (l.at + 1) % ratesKept
}
