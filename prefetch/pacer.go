package prefetch

import "time"

// pacer finds the rate at which a line is full and no queue stands on it.
//
// It is told what came, and steers the sender's rate by the queue: by how much longer pieces take than they do at the
// best. (LEDBAT, RFC 6817, steers its window so; a delay that grows says sooner than a loss that a rate is too high.)
// While there is a queue, what comes is what the line holds: full. The rate goes below it until the queue has gone, then
// a little below it, and from there it grows slowly until a queue shows again: so it swings around full, with some
// milliseconds of queue at the worst. Where none shows, the line holds more by now, and the rate grows ever faster. While
// somebody demands it stays well below, and does not try for more. Beyond the limit that it hears of it never goes: what
// the sender holds back for that is no line's, and what is asked for beyond it would wait there too long.
//
//	starting ──a queue──> draining ──none──> steering ──a queue──> draining
//	   └──faster than freeRate──> free ──a queue that stays──> draining
//
// Starting doubles the rate as long as no queue shows. Free is a line that is as fast as this machine, or about: nothing
// is gained by pacing there, and the sender sends as fast as it can.
type pacer struct {
	phase phase
	rate  float64 // of the sender, in bytes a second
	full  float64 // what the line holds
	top   float64 // the most that it has held of late
	grow  float64 // by which part the rate grows in a second, above full
	last  time.Time
	held  time.Time     // nothing is changed until then: the last change is to show first
	calm  time.Time     // until then somebody demands
	busy  int           // steps in a row with a queue
	stood time.Duration // the queue that is draining,
	since time.Time     // since then

	best  [2]time.Duration // the least delay, of this and the time before
	begun time.Time        // this time
	late  [3]time.Duration // the delays of the last steps
	clock string
	mute  bool // what comes is not paced
	round time.Duration
	came  float64 // bytes a second while there was a queue
	limit float64 // that an admin set, in bytes a second; 0 is none
}

type phase uint8

const (
	starting phase = iota
	steering
	draining
	free
)

const (
	paceEvery  = 100 * time.Millisecond
	startEvery = 25 * time.Millisecond // while starting
	openRate   = 1 << 20
	minRate    = 16 << 10
	// freeRate is from which rate on a line is as good as this machine.
	freeRate = 64 << 20
	// muteBytes are more than the making of a connection takes.
	muteBytes = 32 << 10
	// queueMin and queueBytes say from when on there is a queue: so long, and so many bytes at the rate, because on a
	// slow line a single packet takes its time.
	queueMin   = 2 * time.Millisecond
	queueBytes = 2 << 10
	// queueFree is a queue while free, where the machine itself is often late.
	queueFree = 10 * time.Millisecond
	// drainTime is the time in which a queue is to go; nothing is held for longer than heldMost.
	drainTime, heldMost = 400 * time.Millisecond, 4 * time.Second
	// clockLeap is from when on a queue is none: the machine of one of the clocks stood still.
	clockLeap = 5 * time.Second
	// The rate, as parts of full: where it begins behind a queue, from where on full is taken to be too little, and what
	// is left of it while somebody demands.
	below, above, withDemand = 0.97, 1.03, 0.85
	// growMin and growMax are how much of the rate it grows in a second. The growth doubles, about, in slowTime without a
	// queue, and beyond above in fastTime.
	growMin, growMax   = 0.02, 2.0
	slowTime, fastTime = 4 * time.Second, time.Second
	// growBack is the growth below what the line has held of late, which is forgotten by topLoss in a second: a queue
	// that was a late machine is to cost little.
	growBack, topLoss, topPart = 0.15, 0.02, 0.7
	// calmTime is how long a demand is remembered.
	calmTime = 2 * time.Second
	// bestTime is how often the least delay is looked for anew: the way may have become longer.
	bestTime = 5 * time.Second
)

func newPacer(now time.Time) *pacer {
	return &pacer{rate: openRate, grow: growMin, last: now, begun: now, held: now}
}

// due says whether it is time for a step.
func (p *pacer) due(now time.Time) bool {
	every := paceEvery
	if p.phase == starting {
		every = startEvery
	}
	return now.Sub(p.last) >= every-every/8
}

// pace is what the sender should be told.
func (p *pacer) pace(now time.Time) float64 {
	switch {
	case p.phase == free:
		return p.allowed(0)
	case now.Before(p.calm):
		return max(p.rate*withDemand, minRate)
	}
	return p.rate
}

// allowed is a rate within the limit; 0 is as fast as can be.
func (p *pacer) allowed(rate float64) float64 {
	if most := max(p.limit, minRate); p.limit > 0 && (rate == 0 || rate > most) {
		return most
	}
	return rate
}

// step takes what was heard since the last one.
func (p *pacer) step(h Heard, now time.Time) {
	since := now.Sub(p.last)
	p.last = now
	if h.Demands > 0 {
		p.calm = now.Add(calmTime)
	}
	if h.Round > 0 && (p.round == 0 || h.Round < p.round) {
		p.round = h.Round
	}
	p.limit = h.Limit
	p.rate = p.allowed(p.rate)
	if h.Pieces > 0 || h.Bytes > muteBytes {
		p.mute = h.Pieces == 0
	}
	if h.Pieces == 0 || since <= 0 {
		return
	}
	queue, most := time.Duration(0), p.most()
	if h.Awaited > 0 {
		queue = p.queue(h, now)
	}
	came := float64(h.Bytes) / since.Seconds()
	p.top = max(p.top*(1-topLoss*since.Seconds()), min(came, p.rate))
	if p.busy++; queue <= most {
		p.busy = 0
	} else {
		p.came += (came - p.came) / float64(min(p.busy, 8))
	}
	switch {
	case p.phase == free:
		p.listen(queue, h, now)
	case queue > most:
		p.back(queue, now)
	default:
		p.more(now, since, came, 2*h.Awaited < h.Pieces)
	}
	p.rate = p.allowed(p.rate)
}

// most is the longest queue that is none.
func (p *pacer) most() time.Duration {
	return queueMin + time.Duration(queueBytes/max(min(p.rate, max(p.full, openRate/4)), minRate)*float64(time.Second))
}

// queue is how much longer pieces take than at the best.
func (p *pacer) queue(h Heard, now time.Time) time.Duration {
	if h.Clock != p.clock || h.Delay-min(p.best[0], p.best[1]) > clockLeap {
		p.clock, p.begun = h.Clock, now
		p.best, p.late = [2]time.Duration{h.Delay, h.Delay}, [3]time.Duration{h.Delay, h.Delay, h.Delay}
	}
	if now.Sub(p.begun) > bestTime {
		p.best[1], p.best[0], p.begun = p.best[0], h.Delay, now
	}
	p.best[0] = min(p.best[0], h.Delay)
	p.late[2], p.late[1], p.late[0] = p.late[1], p.late[0], h.Delay
	delay := h.Delay
	if p.phase != starting { // one that is late only now and then is this machine
		delay = min(p.late[0], p.late[1], p.late[2])
	}
	return max(delay-min(p.best[0], p.best[1]), 0)
}

// back takes the rate back, because there is a queue.
func (p *pacer) back(queue time.Duration, now time.Time) {
	switch {
	case now.Before(p.held):
		return
	case p.phase == starting:
		if p.busy < 4 { // what came is to say something
			return
		}
		p.full = p.came
	case p.phase == draining && queue <= p.stood*3/4: // it goes
	case p.phase == draining:
		p.full = p.holds(queue, queue-p.stood, now)
	default:
		p.full = p.holds(queue, queue, now)
	}
	part := min(max(queue.Seconds()/drainTime.Seconds(), 0.1), 0.5)
	p.rate = max((1-part)*p.full, minRate)
	p.phase, p.grow, p.stood = draining, growMin, queue
	p.held = now.Add(min(p.round+paceEvery+time.Duration(float64(queue)/part), heldMost))
	p.since = now
}

// holds is what the line holds where a queue has grown. Where it is so long that the line did not stand still, that is
// what came; else not much less than what was to be sent and is not in the queue, for the sender may have had nothing, nor
// than what it has held of late: a line that has really become slow soon has a long queue.
func (p *pacer) holds(queue, grown time.Duration, now time.Time) float64 {
	if queue > paceEvery {
		p.top = min(p.top, p.came)
		return p.came
	}
	took := time.Duration(p.busy+1) * paceEvery
	if p.phase == draining {
		took = now.Sub(p.since)
	}
	return max(p.came, below*p.rate*(1-max(grown, 0).Seconds()/took.Seconds()), topPart*p.top)
}

// more lets the rate grow, where it is the rate that bounds what comes: waited says that it was this machine.
func (p *pacer) more(now time.Time, since time.Duration, came float64, waited bool) {
	switch {
	case now.Before(p.held) || now.Before(p.calm):
	case p.phase == draining:
		p.phase, p.rate = steering, max(below*p.full, minRate)
	case p.phase == starting && (waited || came > p.rate/2):
		p.held = now.Add(p.round)
		if p.rate *= 2; p.rate > freeRate {
			p.phase = free
		}
	case p.phase == steering && came > 0.8*p.rate && p.rate < p.allowed(2*p.rate):
		grow := p.grow
		if p.rate < 0.9*p.top {
			grow = max(grow, growBack)
		}
		p.rate *= 1 + grow*since.Seconds()
		part := since.Seconds() / slowTime.Seconds()
		if p.rate > above*p.full {
			part = since.Seconds() / fastTime.Seconds()
		}
		p.grow = min(p.grow*(1+part), growMax)
	}
}

// listen is for a line that was free: a queue that stays is the line's.
func (p *pacer) listen(queue time.Duration, h Heard, now time.Time) {
	if queue > queueFree && 2*h.Awaited > h.Pieces && p.busy >= 5 {
		p.full = p.came
		p.back(queue, now)
	}
}
