package vfs

import (
	"github.com/looming-project/looming/vfs/cvd"
)

// Bounds of what is kept of readers that may turn out to read everything.
const (
	trailsMax = 4
	eventsMax = 64
	// trailSteps is how often a reader must go on in order until a sweep begins.
	trailSteps = 2
	// trailSkip is how many files that are not here he may leave out at each step,
	// trailScan how many entries may lie between.
	trailSkip = 2
	trailScan = 512
)

// event is something for the observer: a file that somebody waits for, one that a
// sweep brought for him, or a directory that was listed because somebody waited.
type event struct {
	spot
	by     *lead
	listed *Node
}

// spot is an entry of a directory, of which a reference is held.
type spot struct {
	dir  *Node
	name string
	ino  uint64
}

// trail is where somebody reads files, each of which may be the one after the last:
// steps counts how often it was, in the order of listings and in that of names. Once
// a sweep has begun, it follows its reader.
type trail struct {
	spot
	steps [2]int
	sweep *lead
}

// opened is told of a file that somebody opens and that is not here, and of one that
// a lead brought before. Nobody waits for what comes of it.
func (a *ahead) opened(n *Node, by *lead) {
	p, ok := a.f.spotOf(n)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.observeLocked(event{spot: p, by: by})
}

// spotOf says where a node is.
func (f *FS) spotOf(n *Node) (spot, bool) {
	f.names.RLock()
	defer f.names.RUnlock()
	p := spot{n.parent, n.name, n.ino}
	if p.dir == nil || n.pin != nil {
		return p, false
	}
	f.hold(p.dir)
	return p, true
}

// hold counts one more reference of a node that the caller knows to live.
func (f *FS) hold(n *Node) {
	f.table.Lock()
	n.refs++
	f.table.Unlock()
}

// observeLocked has the observer look at an event. Too many are forgotten.
func (a *ahead) observeLocked(e event) {
	if a.ctx.Err() != nil || len(a.events) == eventsMax {
		if e.dir != nil {
			a.f.Forget(e.dir, 1)
		}
		return
	}
	if e.listed != nil {
		a.f.hold(e.listed)
	}
	a.events = append(a.events, e)
	if !a.observing {
		a.observing = true
		a.all.Go(a.observe)
	}
}

// observe looks at events while there are any.
func (a *ahead) observe() {
	for {
		a.mu.Lock()
		if len(a.events) == 0 {
			a.observing = false
			a.mu.Unlock()
			return
		}
		e := a.events[0]
		a.events = a.events[1:]
		a.mu.Unlock()
		switch {
		case e.listed != nil:
			a.scoutBelow(e.listed)
			a.f.Forget(e.listed, 1)
		case e.by != nil:
			a.follow(e)
		default:
			a.compare(e.spot)
		}
	}
}

func (a *ahead) forgetTrails() {
	for _, t := range a.trails {
		a.f.Forget(t.dir, 1)
	}
	a.trails = nil
}

// follow notes where the reader of a sweep is.
func (a *ahead) follow(e event) {
	for i, t := range a.trails {
		if t.sweep == e.by {
			a.moveTo(i, e.spot)
			return
		}
	}
	a.newTrail(&trail{spot: e.spot, sweep: e.by})
}

// newTrail begins a trail, in the place of the oldest.
func (a *ahead) newTrail(t *trail) {
	if len(a.trails) == trailsMax {
		a.f.Forget(a.trails[0].dir, 1)
		a.trails = a.trails[1:]
	}
	a.trails = append(a.trails, t)
}

// moveTo moves a trail, which is the latest then.
func (a *ahead) moveTo(i int, p spot) {
	t := a.trails[i]
	a.f.Forget(t.dir, 1)
	t.spot = p
	a.trails = append(append(a.trails[:i:i], a.trails[i+1:]...), t)
}

// compare looks whether a file that somebody waits for is what comes after the
// last one of a trail.
func (a *ahead) compare(p spot) {
	for i := len(a.trails) - 1; i >= 0; i-- {
		t := a.trails[i]
		inOrder := false
		for order := range t.steps {
			if a.f.follows(t.spot, p, order == 1) {
				t.steps[order]++
				inOrder = true
			} else {
				t.steps[order] = 0
			}
		}
		if inOrder {
			a.moveTo(i, p)
			a.goOn(t)
			return
		}
	}
	a.newTrail(&trail{spot: p})
}

// goOn has the sweep of a trail go on, whose reader has overtaken it, or begins one.
func (a *ahead) goOn(t *trail) {
	if t.sweep != nil && a.overtaken(t.sweep) {
		return
	}
	for order, n := range t.steps {
		if n < trailSteps {
			continue
		}
		most := func() uint64 { return max(min(2*a.f.sched.Holds(), sweepMax), sweepMin) }
		t.sweep = &lead{course: a.f.newSweep(t.dir, t.name, order == 1), most: most, window: sweepMin, early: map[uint64]brought{}}
		a.mu.Lock()
		a.addLocked(t.sweep)
		a.mu.Unlock()
		return
	}
}

// overtaken has a sweep go on, if it is not over.
func (a *ahead) overtaken(l *lead) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.over {
		return false
	}
	a.touchLocked(l)
	a.kickLocked(l)
	return true
}

// follows says whether q comes after p where all files are read in an order.
func (f *FS) follows(p, q spot, sorted bool) bool {
	s := f.newSweep(p.dir, p.name, sorted)
	defer s.close()
	skipped := 0
	for range trailScan {
		dir, e, ok := s.next(nil)
		if !ok {
			return false
		}
		if e.ino == q.ino && e.typ == cvd.File {
			return true
		}
		if f.cold(dir, e) {
			if skipped++; skipped > trailSkip {
				return false
			}
		}
	}
	return false
}
