package prefetch

import (
	"math"
	"time"
)

// Bounds of what is in flight, in cost (bytes, and overhead for each file).
const (
	// batchMin is the least batch.
	batchMin = 16 << 10
	// parts is how many batches share the budget: while one is answered the next ones are on their way.
	parts = 4
	// floor is the least budget, ceiling the largest by default; opening is where a run starts.
	floor   = parts * batchMin
	opening = 256 << 10
	ceiling = 32 << 20
)

// window is how much may be in flight, so that the link is full and no queue stands on it in which a demand would wait.
//
// Where the sender keeps a pace, what is in flight waits there and not on the link, and only has to last until more is
// asked for. Elsewhere the window says how much stands on the link. By Little's law, what is in flight is rate x time of a batch. The window steers that time to a target a little above
// what a batch takes when nothing else is in flight: budget x target / measured, once per round (as LEDBAT, RFC 6817,
// steers to a delay). The time without a queue is measured again every probeEvery, with the budget at its floor for one
// round (as BBR does), since a standing queue would hide a change of the link.
type window struct {
	max    float64
	paced  float64 // the budget where the sender keeps a pace, else 0
	budget float64
	used   float64
	slow   bool // the first rise, doubling, until the target is passed

	base    time.Duration // time of a batch without a queue; 0: not known
	probed  time.Time
	probing bool
	turned  time.Time // batches started before it were under another budget

	rate      float64 // bytes of cost a second, smoothed
	delivered float64
}

const (
	probeEvery = 15 * time.Second
	slackMin   = 25 * time.Millisecond
	slackMax   = 200 * time.Millisecond
	// slackRate is up to which rate, in bytes a second, the slack is slackMin; it grows with the rate from there.
	slackRate = 4 << 20
)

// ticket is what a batch took from the window.
type ticket struct {
	cost      float64
	began     time.Time
	delivered float64 // by the window when it began
	light     bool    // hardly anything was queued before it
	full      bool    // it filled the budget, and not because it is one large file: its time says how long the queue is
}

func newWindow(most int, now time.Time) *window {
	w := &window{max: float64(max(most, opening)), budget: opening, slow: true, probed: now}
	return w
}

// batch is how large the next batch should be.
func (w *window) batch() float64 {
	return max(min(w.limit()/parts, w.max/parts), batchMin)
}

func (w *window) limit() float64 {
	switch {
	case w.paced > 0:
		return w.paced
	case w.probing:
		return floor
	}
	return w.budget
}

// pace sets the budget for a sender that keeps a pace; 0 is for one that keeps none.
func (w *window) pace(budget float64) {
	if budget == 0 && w.paced > 0 { // from here on the link says how much
		w.budget, w.base, w.probing, w.slow = max(w.budget, min(w.paced, w.max)), 0, false, true
	}
	w.paced = max(min(budget, w.max), 0)
	if budget > 0 {
		w.paced = max(w.paced, floor)
	}
}

// room says whether another batch may start; one always may.
func (w *window) room() bool { return w.used == 0 || w.used+w.batch()/2 <= w.limit() }

func (w *window) start(cost float64, now time.Time) *ticket {
	if w.paced == 0 && !w.probing && now.Sub(w.probed) > probeEvery {
		w.probing, w.turned = true, now.Add(-1) // this batch may be the one to measure
	}
	alone := w.used == 0
	w.used += cost
	return &ticket{
		cost: cost, began: now, delivered: w.delivered,
		light: w.used <= floor || alone,
		full:  !w.room() && w.used <= 2*w.limit(),
	}
}

// cancel gives back what a batch took that failed: it says nothing about the link.
func (w *window) cancel(t *ticket) { w.used -= t.cost }

// finish takes back what a batch took that is here; began is when its work really began.
func (w *window) finish(t *ticket, began, now time.Time) {
	w.used -= t.cost
	w.delivered += t.cost
	took := max(now.Sub(began), time.Microsecond)
	if began.Sub(t.began) < slackMin { // it was not held back for a demand
		w.measure(t, now, took)
	}
	switch {
	case w.paced > 0:
		w.turned = now
	case w.probing && t.light && t.began.After(w.turned):
		w.base, w.probing, w.probed, w.turned = took, false, now, now
	case w.probing:
	case w.base == 0 || took < w.base:
		w.base = took
	case t.full && t.began.After(w.turned):
		w.steer(took, w.target(t.cost), now)
	}
}

// measure smooths the rate at which bytes came while the batch was under way.
func (w *window) measure(t *ticket, now time.Time, took time.Duration) {
	since := max(now.Sub(t.began), took)
	r := (w.delivered - t.delivered) / since.Seconds()
	if w.rate == 0 {
		w.rate = r
	}
	w.rate += (r - w.rate) / 8
}

func (w *window) steer(took, target time.Duration, now time.Time) {
	by := float64(target) / float64(took)
	most := 1.25
	if w.slow {
		most = 2
	}
	if by < 1 {
		w.slow = false
	}
	w.budget = min(max(w.budget*min(max(by, 0.5), most), floor), w.max)
	w.turned = now
}

// target is how long a batch of this cost should take: on a slow link hardly more than without a queue, for every byte
// queued there is waiting; on a fast one the queue is the disk's and the processor's, and larger batches are worth more.
// The batch itself has to pass, too.
func (w *window) target(cost float64) time.Duration {
	slack := min(max(time.Duration(float64(slackMin)*w.rate/slackRate), slackMin), slackMax)
	pass := time.Duration(min(cost/max(w.rate, 1), 60) * float64(time.Second))
	return w.base + max(slack, min(pass, slackMax))
}

// cost is what an item takes of the window.
func cost(size uint64) float64 {
	return overhead + math.Min(float64(size), 1<<50)
}
