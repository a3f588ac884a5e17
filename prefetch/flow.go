package prefetch

import (
	"context"
	"math"
	"time"
)

// flow keeps the line of a run at its pace, and enough in flight for it.
type flow struct {
	line   Line
	pacer  *pacer
	window *window

	pace float64 // that the next batch brings
	told float64 // that the sender knows
	idle bool    // no batch began since the last look

	delivered float64 // by the window, at the last look
	cost      float64 // of late, and what of it crossed the line
	crossed   float64
}

const (
	// aheadTime is for how long the sender is to have enough to send, beyond a round trip.
	aheadTime = 400 * time.Millisecond
	// shareTime is over how long it is smoothed how much of a cost crosses the line: the rest is saved by compression.
	shareTime = 3 * time.Second
	shareMin  = 1.0 / 32
	// tellFrom is from which change on the sender is told at once that no batch tells it.
	tellFrom = 0.02
)

func newFlow(line Line, w *window, now time.Time) *flow {
	f := &flow{line: line, pacer: newPacer(now), window: w, pace: openRate}
	line.Heard() // what came before is not this run's
	line.Pace(f.pace)
	f.size()
	return f
}

// asked notes that a batch began, which tells the pace.
func (f *flow) asked() {
	if f != nil {
		f.told, f.idle = f.pace, false
	}
}

// step sets the pace anew by what came, and says whether the sender has to be told.
func (f *flow) step(now time.Time) (tell bool) {
	h := f.line.Heard()
	f.weigh(h, now.Sub(f.pacer.last))
	f.pacer.step(h, now)
	f.pace = f.pacer.pace(now)
	f.line.Pace(f.pace)
	f.size()
	tell = f.idle && math.Abs(f.pace-f.told) > tellFrom*f.told
	f.idle = true
	return tell
}

// weigh finds how much of a cost crosses the line.
func (f *flow) weigh(h Heard, since time.Duration) {
	keep := math.Exp(-since.Seconds() / shareTime.Seconds())
	f.cost = f.cost*keep + f.window.delivered - f.delivered
	f.crossed = f.crossed*keep + float64(h.Bytes)
	f.delivered = f.window.delivered
}

func (f *flow) share() float64 {
	if f.cost == 0 || f.crossed == 0 {
		return 1
	}
	return min(max(f.crossed/f.cost, shareMin), 1)
}

// size gives the window its budget.
func (f *flow) size() {
	if f.pace == 0 || f.pacer.mute {
		f.window.pace(0)
		return
	}
	f.window.pace(f.pace * (f.pacer.round + aheadTime).Seconds() / f.share())
}

// keepPace looks at the line, and tells the sender in the background what no batch will.
func (s *run) keepPace(ctx context.Context, now time.Time) {
	if s.flow == nil || !s.flow.pacer.due(now) || !s.flow.step(now) || s.flying == 0 {
		return
	}
	s.flow.told = s.flow.pace
	s.wg.Go(func() { _ = s.line.TellPace(ctx) }) // the next batch tells it, too
}
