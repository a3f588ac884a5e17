package vfs

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/looming-project/looming/vfs/fetch"
)

// ahead brings what programs will want next, before they ask. There are three
// kinds of readers, and a lead runs before each of them:
//
//	who reads a large file from one end to the other     stream   read.go
//	who reads file after file, as tar and grep do        sweep    sweep.go
//	who lists directory after directory, as find does    scout    scout.go
//
// A lead keeps a window before its reader, which grows with every hit: with
// whatever the reader uses of what was brought. Without hits nothing more is
// brought, so that a reader who stops stops his lead. All leads together have no
// more under way than fetch.Scheduler.Allow allows.
type ahead struct {
	f   *FS
	ctx context.Context //nolint:containedctx // the life of the FS
	end context.CancelFunc
	all sync.WaitGroup

	mu sync.Mutex
	// early has the lead that brought a file or directory before anybody asked, by
	// inode; known is how many there are.
	early map[uint64]*lead
	known atomic.Int64
	// leads are the sweeps and scouts, those with the latest hits last.
	leads []*lead
	// events are for the observer, which runs while there are any.
	events    []event
	observing bool

	// trails belong to the observer.
	trails []*trail
}

// leadsMax is how many sweeps and scouts there are at most.
const leadsMax = 8

// lead runs ahead of one reader.
type lead struct {
	course
	// most is how large the window may become.
	most func() uint64

	// slack is how far out of order the reader may use what was brought.
	slack int
	// eager has every hit double the window.
	eager bool

	// Guarded by ahead.mu: what may be before the reader and what is, in bytes or
	// directories; what is, by inode, and in order.
	window, out uint64
	early       map[uint64]brought
	order       []uint64
	passed      int
	// running says that a goroutine works for the lead, again that there is new work, over that it is to end.
	running, again, over bool
}

// course says what comes next. One goroutine at a time asks it.
type course interface {
	// ready says quickly whether there may be more.
	ready(l *lead) bool
	// more returns about so many bytes of what comes next, nothing if there is nothing for now.
	more(ctx context.Context, l *lead, bytes uint64) []step
	// brought is told what came of steps, before they are forgotten.
	brought(steps []step, errs []error)
	// close gives back what the course holds.
	close()
}

// step is a chunk that a course wants: of a node, of which it holds a reference.
type step struct {
	node *Node
	want fetch.Want
	// cost is what it takes of the window.
	cost uint64
}

// brought is what a lead brought of a file or directory: its cost, and its place in the order.
type brought struct {
	cost uint64
	at   int
}

func newAhead(f *FS) *ahead {
	a := &ahead{f: f, early: map[uint64]*lead{}}
	a.ctx, a.end = context.WithCancel(context.Background())
	return a
}

// close ends all that is under way and waits for its end.
func (a *ahead) close() {
	a.mu.Lock()
	a.end()
	for len(a.leads) > 0 {
		a.dropLocked(a.leads[0])
	}
	a.mu.Unlock()
	a.all.Wait()
	a.forgetTrails()
}

// addLocked takes a sweep or scout in, and ends the one that had no hit for longest.
func (a *ahead) addLocked(l *lead) {
	if len(a.leads) >= leadsMax {
		a.dropLocked(a.leads[0])
	}
	a.leads = append(a.leads, l)
	a.kickLocked(l)
}

// touchLocked notes a hit.
func (a *ahead) touchLocked(l *lead) {
	for i, o := range a.leads {
		if o == l {
			copy(a.leads[i:], a.leads[i+1:])
			a.leads[len(a.leads)-1] = l
			return
		}
	}
}

// dropLocked ends a lead.
func (a *ahead) dropLocked(l *lead) {
	for i, o := range a.leads {
		if o == l {
			a.leads = append(a.leads[:i:i], a.leads[i+1:]...)
			break
		}
	}
	for ino := range l.early {
		a.usedLocked(ino, l)
	}
	l.over = true
	if !l.running {
		l.running = true // for ever: nobody works for it again
		l.close()
	}
}

// drop ends a lead, nil for none.
func (a *ahead) drop(l *lead) {
	if l == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dropLocked(l)
}

// usedLocked takes what a lead brought out of its window.
func (a *ahead) usedLocked(ino uint64, l *lead) brought {
	if a.early[ino] == l {
		delete(a.early, ino)
		a.known.Store(int64(len(a.early)))
	}
	b := l.early[ino]
	delete(l.early, ino)
	l.out -= b.cost
	return b
}

// passLocked takes out of a window what its reader has left behind.
func (a *ahead) passLocked(l *lead, at int) {
	for ; l.passed < at-l.slack && len(l.order) > 0; l.passed++ {
		if b, still := l.early[l.order[0]]; still && b.at == l.passed {
			a.usedLocked(l.order[0], l)
		}
		l.order = l.order[1:]
	}
}

// hit is told of every file and directory that is opened, and returns the lead
// that brought it before, if one did.
func (a *ahead) hit(n *Node) *lead {
	if a.known.Load() == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.early[n.ino]
	if l == nil {
		return nil
	}
	b := a.usedLocked(n.ino, l)
	a.passLocked(l, b.at)
	if l.eager {
		b.cost = l.window
	}
	a.growLocked(l, b.cost)
	a.touchLocked(l)
	return l
}

// growLocked widens a window by what was used of it.
func (a *ahead) growLocked(l *lead, by uint64) {
	l.window = min(l.window+by, max(l.most(), l.window))
	a.kickLocked(l)
}

// kickLocked has somebody look whether a lead can go on.
func (a *ahead) kickLocked(l *lead) {
	l.again = true
	if l.running || l.over || a.ctx.Err() != nil {
		return
	}
	l.running = true
	a.all.Go(func() { a.run(l) })
}

func (a *ahead) kick(l *lead) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kickLocked(l)
}

// run asks a course for steps while there are any.
func (a *ahead) run(l *lead) {
	for a.goesOn(l) {
		for l.ready(l) {
			if !a.next(l) {
				break
			}
		}
	}
}

// goesOn says whether there was a kick since the last look. At the end it is over
// with the goroutine, and maybe with the lead.
func (a *ahead) goesOn(l *lead) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.again && !l.over && a.ctx.Err() == nil {
		l.again = false
		return true
	}
	if l.over {
		l.close()
		return false
	}
	l.running = false
	return false
}

// next begins one request, and says whether there may be another.
func (a *ahead) next(l *lead) bool {
	if a.f.room() != nil { // nobody waits for it
		return false
	}
	leave, err := a.f.sched.Allow(a.ctx)
	if err != nil {
		return false
	}
	steps := l.more(a.ctx, l, leave.Bytes)
	if len(steps) == 0 {
		leave.End()
		return false
	}
	a.expect(l, steps)
	a.all.Go(func() { a.bring(l, leave, steps) })
	return true
}

// expect notes what is on its way.
func (a *ahead) expect(l *lead, steps []step) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.early == nil || l.over {
		return
	}
	for i := range steps {
		ino, cost := steps[i].node.ino, steps[i].cost
		if o := a.early[ino]; o != nil && o != l {
			a.usedLocked(ino, o)
		}
		e, known := l.early[ino]
		if !known {
			e.at = l.passed + len(l.order)
			l.order = append(l.order, ino)
		}
		e.cost += cost
		a.early[ino], l.early[ino] = l, e
		l.out += cost
	}
	a.known.Store(int64(len(a.early)))
}

// bring makes one request. After one that failed the lead waits for its next hit.
func (a *ahead) bring(l *lead, leave *fetch.Allowance, steps []step) {
	wants := make([]fetch.Want, len(steps))
	for i := range steps {
		wants[i] = steps[i].want
	}
	errs := leave.Fetch(a.ctx, wants)
	l.brought(steps, errs)
	failed := a.f.settleFull() != nil // Run says so
	for i := range steps {
		if errs[i] != nil {
			failed = true
			a.mu.Lock()
			a.usedLocked(steps[i].node.ino, l)
			a.mu.Unlock()
		} else {
			atomic.AddUint64(&a.f.stats.BulkBytes, steps[i].want.Size)
		}
		a.f.Forget(steps[i].node, 1)
	}
	if !failed {
		a.kick(l)
	}
}
