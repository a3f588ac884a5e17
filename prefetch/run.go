package prefetch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// run is a Runner at work. All of it but parked belongs to the goroutine that called Run.
type run struct {
	*Runner
	wg     *sync.WaitGroup
	works  chan planned
	done   chan result
	parked atomic.Int32 // batches that wait for quiet

	window *window
	flow   *flow // nil where the filler knows no line
	show   meter
	flying int // batches

	queue   queue
	late    []lateItem
	missing Incomplete

	wait    backoff
	held    *time.Timer // nothing new starts until it fires,
	holding bool        // while this is set
	epoch   int         // counts failures, so that those of one cut count once
	astray  error       // why the planner waits
}

// lateItem is tried again when everything else is done.
type lateItem struct {
	item  Item
	stage Stage
	tries int
	err   error
}

const (
	// maxLate bounds what waits for another try; when it is full, they are tried at once.
	maxLate = 1 << 16
	// maxTries is after how many failures of its own an item is missing.
	maxTries = 3
	// least is how many batches should be in flight, whatever their size.
	least = 3
)

func newRun(r *Runner, wg *sync.WaitGroup) *run {
	now := time.Now()
	s := &run{
		Runner: r, wg: wg, works: make(chan planned, ahead), done: make(chan result),
		window: newWindow(r.o.MaxInFlight, now), wait: backoff{jitter: r.o.Jitter},
		held: time.NewTimer(time.Hour),
	}
	s.held.Stop()
	if r.line != nil {
		s.flow = newFlow(r.line, s.window, now)
	}
	s.queue.cuts = r.ranges != nil
	s.show.FilesTotal, s.show.BytesTotal, s.show.last = r.o.Files, r.o.Bytes, now
	s.show.StartFilesTotal = uint64(len(r.plan.start.wants))
	return s
}

func (s *run) loop(ctx context.Context) error {
	tick := time.NewTicker(s.o.Every)
	defer tick.Stop()
	defer s.held.Stop()
	pace := time.NewTicker(startEvery)
	defer pace.Stop()
	for {
		s.launch(ctx)
		if s.idle() {
			if !s.tryLate() {
				return s.missing.err()
			}
			continue
		}
		select {
		case p, ok := <-s.more():
			s.took(p, ok)
		case res := <-s.done:
			s.finished(&res)
		case now := <-tick.C:
			s.report(now)
		case now := <-pace.C:
			s.keepPace(ctx, now)
		case <-s.held.C:
			s.holding = false
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// more is where work comes from, nil while there is enough.
func (s *run) more() <-chan planned {
	if s.queue.ended || len(s.queue.have) > 0 || len(s.late) >= maxLate {
		return nil
	}
	return s.works
}

// took takes what the planner sent.
func (s *run) took(p planned, ok bool) {
	if !ok {
		s.queue.ended, s.show.StartFilesTotal = true, s.show.startFound
		return
	}
	if s.astray = p.trouble; p.lost != nil {
		s.missing.add(p.lost.Path, p.lost.Err)
	}
	s.account(p.Work)
	s.queue.have, s.queue.stage = p.Items, p.Stage
}

// account counts the start set, once it is known which of its files there are.
func (s *run) account(w Work) {
	if w.Stage != StartSetStage {
		s.show.StartFilesTotal = s.show.startFound
		return
	}
	s.show.startFound += uint64(len(w.Items))
	for i := range w.Items {
		s.show.StartBytesTotal += w.Items[i].bytes()
	}
}

// free says whether a batch may start: after a failure one at a time, else as many as the window holds.
func (s *run) free() bool {
	switch {
	case s.holding:
		return false
	case s.wait.fails > 0:
		return s.flying == 0
	}
	return s.window.room()
}

// launch starts all batches that may start.
func (s *run) launch(ctx context.Context) {
	for s.free() {
		j := s.next()
		if j == nil {
			return
		}
		s.start(ctx, j)
	}
}

// next returns the next batch, or nil where there is none, or one is better filled up first.
func (s *run) next() *job {
	for {
		if j := s.queue.next(s.window.batch(), &s.show); j != nil {
			return j
		}
		select {
		case p, ok := <-s.more():
			s.took(p, ok)
		default:
			if s.flying < least || s.queue.ended {
				return s.queue.close()
			}
			return nil
		}
	}
}

func (s *run) start(ctx context.Context, j *job) {
	res := result{job: j, ticket: s.window.start(j.cost(), time.Now()), epoch: s.epoch}
	s.flying++
	s.flow.asked()
	s.show.Stage, s.show.Current = j.stage, j.path()
	s.wg.Go(func() {
		res.began, res.err = s.work(ctx, j)
		select {
		case s.done <- res:
		case <-ctx.Done():
		}
	})
}

// work gives way to demand and then brings the job's bytes.
func (s *run) work(ctx context.Context, j *job) (began time.Time, err error) {
	if s.quiet != nil {
		s.parked.Add(1)
		err = s.quiet.Quiet(ctx)
		s.parked.Add(-1)
	}
	began = time.Now()
	switch {
	case err != nil:
	case j.large != nil:
		err = s.ranges.FillRange(ctx, j.large.item, j.off, j.n)
	default:
		err = s.filler.Fill(ctx, j.items)
	}
	return began, err
}

// idle says that nothing is left but what is to be tried again.
func (s *run) idle() bool {
	return s.flying == 0 && s.queue.empty() && (s.queue.ended && len(s.queue.have) == 0 || len(s.late) >= maxLate)
}

func (s *run) report(now time.Time) {
	p := s.show.at(now)
	switch parked := int(s.parked.Load()); {
	case s.wait.fails > 0:
		p.State = Waiting
	case s.astray != nil && s.flying == 0:
		p.State, p.Err = Waiting, s.astray
	case parked > 0 && parked == s.flying:
		p.State = Yielding
	}
	s.o.Report(p)
}
