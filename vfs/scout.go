package vfs

import (
	"context"
	"slices"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/fetch"
)

// Bounds of a scout, in directories: its window, one request, and what it knows
// of and has not asked for.
const (
	scoutMin    = 32
	scoutMax    = 1024
	scoutBatch  = 256
	scoutStack  = 8192
	scoutAstray = 256
)

// nodeSize is about how long a directory's node is.
const nodeSize = 4 << 10

// scout lists directories ahead of somebody who lists one after another. Whatever
// is listed shows what lies below it, so a walk over a whole tree takes a round
// trip for each level, not for each directory.
type scout struct {
	f *FS
	// stack has directories that are not listed, as far as is known; the next one
	// last. The scout holds a reference of each. Guarded by ahead.mu.
	stack []*Node
}

// listedFor is told of a directory that was listed because somebody waited for it.
func (a *ahead) listedFor(n *Node) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.leads {
		if s, ok := l.course.(*scout); ok && slices.Contains(s.stack, n) { // the reader has overtaken it
			a.growLocked(l, l.window)
			a.touchLocked(l)
			return
		}
	}
	a.observeLocked(event{listed: n})
}

// scoutBelow sends a scout to what lies below a directory.
func (a *ahead) scoutBelow(n *Node) {
	s := &scout{f: a.f}
	if s.stack = a.f.unlistedBelow(n); len(s.stack) == 0 {
		return
	}
	most := func() uint64 { return scoutMax }
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addLocked(&lead{course: s, most: most, slack: scoutAstray, eager: true, window: scoutMin, early: map[uint64]brought{}})
}

// unlistedBelow returns the directories in a listed one that are not listed, with a
// reference of each, the first last.
func (f *FS) unlistedBelow(n *Node) (dirs []*Node) {
	_ = f.each(n, func(d *backing.Dir, e backing.DirEntry) error { // what cannot be read is not listed ahead
		if e.Type != cvd.Dir {
			return nil
		}
		if len(dirs) == scoutStack {
			return errEnough
		}
		c, _, err := f.child(n, d, e.Name)
		if err == nil {
			dirs = append(dirs, c)
		}
		return ignoreGone(err)
	})
	slices.Reverse(dirs)
	return dirs
}

// close implements course.
func (s *scout) close() {
	for _, n := range s.stack {
		s.f.Forget(n, 1)
	}
	s.stack = nil
}

// ready implements course.
func (s *scout) ready(l *lead) bool {
	s.f.ahead.mu.Lock()
	defer s.f.ahead.mu.Unlock()
	return len(s.stack) > 0 && l.out <= l.window/2 && !l.over
}

// more implements course.
func (s *scout) more(_ context.Context, l *lead, bytes uint64) (steps []step) {
	for range scanMax {
		if len(steps) == scoutBatch || uint64(len(steps))*nodeSize >= bytes {
			break
		}
		n := s.take(l, uint64(len(steps)))
		if n == nil {
			break
		}
		m, blocked, err := s.f.treeOf(n)
		if err != nil || !blocked {
			if err == nil {
				s.put(s.f.unlistedBelow(n))
			}
			s.f.Forget(n, 1)
			continue
		}
		steps = append(steps, step{node: n, want: s.f.wantListed(n, m.Tree), cost: 1})
	}
	return steps
}

// take returns the next directory, if the window allows one more.
func (s *scout) take(l *lead, have uint64) *Node {
	a := s.f.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(s.stack) == 0 || l.over || l.out+have >= l.window {
		return nil
	}
	n := s.stack[len(s.stack)-1]
	s.stack = s.stack[:len(s.stack)-1]
	return n
}

// put adds directories to come next. Too many are left to whoever waits for them.
func (s *scout) put(dirs []*Node) {
	a := s.f.ahead
	a.mu.Lock()
	s.stack = append(s.stack, dirs...)
	var left []*Node
	if over := len(s.stack) - scoutStack; over > 0 {
		left = s.stack[:over]
		s.stack = slices.Clone(s.stack[over:])
	}
	a.mu.Unlock()
	for _, n := range left {
		s.f.Forget(n, 1)
	}
}

// brought implements course: what was listed shows where to go on.
func (s *scout) brought(steps []step, errs []error) {
	for i := len(steps) - 1; i >= 0; i-- {
		if errs[i] == nil {
			s.put(s.f.unlistedBelow(steps[i].node))
		}
	}
}

// wantListed is the node of a directory that is not listed.
func (f *FS) wantListed(n *Node, tree chunk.ID) fetch.Want {
	return fetch.Want{
		ID: tree, Size: nodeSize,
		Absent: func() bool { return !n.listed.Load() },
		Keep:   func(plain []byte) error { return f.plant(f.ahead.ctx, n, plain, f.sched.Demanded()) },
	}
}

// scouted lists a directory that a sweep comes to.
func (f *FS) scouted(ctx context.Context, n *Node) error {
	m, blocked, err := f.treeOf(n)
	if err != nil || !blocked {
		return err
	}
	return f.sched.Little().Fetch(ctx, []fetch.Want{f.wantListed(n, m.Tree)})[0]
}
