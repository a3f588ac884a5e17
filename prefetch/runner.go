package prefetch

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// Options tell a Runner what it cannot know; the zero value works.
type Options struct {
	// Files and Bytes are what the desktop holds, for progress; cvd.Sums knows them.
	Files, Bytes uint64
	// MaxInFlight bounds the bytes asked for and not here yet, within a quarter: 32 MiB by default, 256 KiB at least.
	MaxInFlight int
	// Report is called from Run's goroutine, at most once every Every (250 ms by default) and at the end.
	Report func(Progress)
	Every  time.Duration
	// Jitter gives numbers from 0 to 1 for waits after failures, to two goroutines; math/rand by default.
	Jitter func() float64
}

// Runner works through a plan, once.
//
//	         next batch            result
//	plan ──> planner ──> coordinator ──> batches in flight (one goroutine each)
//	           ahead by a few listings     as many as the window holds, at the pace of the line
//
// States of a run, as Progress says them:
//
//	Filling ──demand──> Yielding ──quiet──> Filling
//	Filling ──a batch or listing fails──> Waiting ──trial succeeds──> Filling
//	Filling ──plan at its end, what failed was tried again──> Done
//
// While Waiting, one batch at a time is tried, after 250 ms and then up to 15 s.
type Runner struct {
	plan   *Plan
	filler Filler
	ranges RangeFiller // nil if it is none
	quiet  Yielder     // nil if it is none
	near   NearFiller  // nil if it is none
	line   Line        // nil if it is none
	o      Options
}

// NewRunner makes a runner; nothing starts before Run.
func NewRunner(plan *Plan, filler Filler, o Options) *Runner {
	orDefault(&o.Every, 250*time.Millisecond)
	orDefault(&o.MaxInFlight, ceiling)
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Report == nil {
		o.Report = func(Progress) {}
	}
	r := &Runner{plan: plan, filler: filler, o: o}
	r.ranges, _ = filler.(RangeFiller)
	r.quiet, _ = filler.(Yielder)
	r.near, _ = filler.(NearFiller)
	r.line, _ = filler.(Line)
	return r
}

// Run works until everything is here (nil), or everything was tried and some is not (*Incomplete), or ctx ends. A cut
// link does not end it.
func (r *Runner) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	s := newRun(r, &wg)
	wg.Go(func() { s.planAhead(ctx) })
	err := s.loop(ctx)
	s.show.State, s.show.Err = Done, err
	r.o.Report(s.show.at(time.Now()))
	return err
}

// ahead is how many listings the planner may be ahead of the batches: few, so that it can follow what is used.
const ahead = 4

// planned is what the planner sends: work, or why it stands, or what it gave up.
type planned struct {
	Work
	trouble error    // it waits for this to pass; nil with work
	lost    *Failure // it has left this out
}

// planAhead lists and looks up while batches are under way, and gets past what it cannot list.
func (s *run) planAhead(ctx context.Context) {
	defer close(s.works)
	wait := backoff{jitter: s.o.Jitter}
	for {
		w, err := s.plan.Next(ctx)
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return
		}
		out := planned{Work: w, trouble: err}
		if err == nil {
			wait.reset()
			if s.near != nil {
				s.near.FillNear(ctx, w)
			}
			s.send(ctx, out)
			continue
		}
		longest := waitMax
		if !passing(err) {
			longest = waitLast
			if s.plan.Skip() {
				out.lost = failureOf(err)
			}
		}
		s.send(ctx, out)
		if pause(ctx, wait.next(longest)) != nil {
			return
		}
	}
}

func (s *run) send(ctx context.Context, p planned) {
	select {
	case s.works <- p:
	case <-ctx.Done():
	}
}

func failureOf(err error) *Failure {
	var p *PlanError
	if errors.As(err, &p) {
		return &Failure{p.Path, p.Err}
	}
	return &Failure{"", err}
}
