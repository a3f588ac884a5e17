package vfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/fetch"
)

// Bounds of a sweep's window, in bytes.
const (
	sweepMin = 256 << 10
	sweepMax = 8 << 20
)

// scanMax is how many entries a sweep looks at without finding anything to bring:
// where nearly all is here, a reader waits for little.
const scanMax = 4096

// entriesMax is up to how many entries a directory is swept.
const entriesMax = 1 << 17

// sweep goes over the files of a tree as programs do that read all of them: depth
// first, and in each directory in the order of the listing or in that of names.
type sweep struct {
	f      *FS
	sorted bool
	stack  []level
}

// level is a directory on the way down, of which the sweep holds a reference.
type level struct {
	dir *Node
	// name is behind which entry the sweep goes on; then the entries are read.
	name    string
	entries []entry
	read    bool
	at      int
}

// entry is a name of a directory.
type entry struct {
	name string
	ino  uint64
	typ  cvd.Type
}

// newSweep begins behind an entry.
func (f *FS) newSweep(dir *Node, name string, sorted bool) *sweep {
	s := &sweep{f: f, sorted: sorted}
	f.names.RLock()
	for ; dir != nil; dir = dir.parent {
		s.stack = append(s.stack, level{dir: dir, name: name})
		name = dir.name
	}
	f.table.Lock()
	for _, l := range s.stack {
		l.dir.refs++
	}
	f.table.Unlock()
	f.names.RUnlock()
	slices.Reverse(s.stack)
	return s
}

// close gives back the references.
func (s *sweep) close() {
	for len(s.stack) > 0 {
		s.pop()
	}
}

func (s *sweep) pop() {
	s.f.Forget(s.stack[len(s.stack)-1].dir, 1)
	s.stack = s.stack[:len(s.stack)-1]
}

// next returns the next entry that is no directory. list lists a directory that is
// not listed yet; without it such are left out.
func (s *sweep) next(list func(*Node) error) (dir *Node, e entry, ok bool) {
	for len(s.stack) > 0 {
		l := &s.stack[len(s.stack)-1]
		if err := l.load(s); err != nil || l.at >= len(l.entries) {
			s.pop()
			continue
		}
		e := l.entries[l.at]
		l.at++
		if e.typ == cvd.Dir {
			s.enter(l.dir, e.name, list)
			continue
		}
		return l.dir, e, true
	}
	return nil, entry{}, false
}

// enter goes down into a directory.
func (s *sweep) enter(dir *Node, name string, list func(*Node) error) {
	n, err := s.f.listedChild(dir, name)
	if err != nil {
		return
	}
	if !n.listed.Load() {
		if _, blocked, err := s.f.treeOf(n); err != nil || blocked && (list == nil || list(n) != nil) {
			s.f.Forget(n, 1)
			return
		}
	}
	s.stack = append(s.stack, level{dir: n})
}

// load reads the entries of a level.
func (l *level) load(s *sweep) (err error) {
	if l.read {
		return nil
	}
	l.read = true
	if l.entries, err = s.f.entries(l.dir, s.sorted); err != nil || l.name == "" {
		return err
	}
	l.at = len(l.entries)
	if s.sorted {
		at, found := slices.BinarySearchFunc(l.entries, l.name, func(e entry, name string) int { return strings.Compare(e.name, name) })
		if l.at = at; found {
			l.at++
		}
	} else if at := slices.IndexFunc(l.entries, func(e entry) bool { return e.name == l.name }); at >= 0 {
		l.at = at + 1
	}
	return nil
}

// entries returns what a listed directory holds.
func (f *FS) entries(n *Node, sorted bool) (all []entry, err error) {
	err = f.each(n, func(_ *backing.Dir, e backing.DirEntry) error {
		if len(all) == entriesMax {
			return errEnough
		}
		all = append(all, entry{e.Name, e.Ino, e.Type})
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil, fmt.Errorf("more than %d entries", entriesMax)
	}
	if sorted {
		slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	}
	return all, err
}

// cold says whether an entry is a file that is not all here.
func (f *FS) cold(dir *Node, e entry) bool {
	if e.typ != cvd.File {
		return false
	}
	f.names.RLock()
	defer f.names.RUnlock()
	d, err := f.dir(dir)
	if err != nil {
		return false
	}
	_, marked, err := f.store.MarkOf(backing.Ref{Dir: d, Name: e.name})
	return err == nil && marked
}

// ready implements course.
func (s *sweep) ready(l *lead) bool { return s.room(l) > 0 }

// room is how much a sweep may bring now: nothing until half of its window is used.
func (s *sweep) room(l *lead) uint64 {
	a := s.f.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.over || l.out > l.window/2 {
		return 0
	}
	return l.window - l.out
}

// more implements course.
func (s *sweep) more(ctx context.Context, l *lead, bytes uint64) (steps []step) {
	bytes = min(bytes, s.room(l))
	list := func(n *Node) error { return s.f.scouted(ctx, n) }
	taken := uint64(0)
	for range scanMax {
		if taken >= bytes || ctx.Err() != nil {
			break
		}
		dir, e, ok := s.next(list)
		if !ok {
			break
		}
		if !s.f.cold(dir, e) {
			continue
		}
		n, err := s.f.listedChild(dir, e.name)
		if err != nil {
			continue
		}
		for _, w := range s.f.wants(ctx, n, bytes-taken) {
			s.f.hold(n)
			steps = append(steps, step{node: n, want: w, cost: w.Size})
			taken += w.Size
		}
		s.f.Forget(n, 1)
	}
	return steps
}

// brought implements course.
func (s *sweep) brought([]step, []error) {}

// wants is what is missing at the start of a file, about so many bytes of it. The
// rest of a large file is for the stream of whoever reads it, and so is one whose
// chunks are not known yet.
func (f *FS) wants(ctx context.Context, n *Node, bytes uint64) (out []fetch.Want) {
	n.mu.Lock()
	err := f.loadLocked(n)
	s, m, refs := n.file.state, n.file.mark, n.file.refs
	n.mu.Unlock()
	switch {
	case err != nil:
	case s == single:
		out = append(out, f.wantSingle(n, &m))
	case s == ranged && (refs != nil || !m.Content.Listed):
		chunks, err := f.chunksIn(ctx, n, backing.Range{End: max(bytes, 1)}, f.sched.Demanded())
		if err != nil {
			return nil
		}
		for _, p := range chunks {
			if f.missing(n, p) {
				out = append(out, f.wantRange(n, p))
			}
		}
	}
	return out
}

// wantSingle is the chunk of a file of one chunk.
func (f *FS) wantSingle(n *Node, m *backing.Mark) fetch.Want {
	id := m.Content.ID
	return fetch.Want{
		ID: id, Size: m.Size,
		Keep: func(plain []byte) error { return f.store1(n, id, plain) },
		Absent: func() bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.file.state == single && n.file.mark.Content.ID == id
		},
	}
}

// wantRange is one chunk of a ranged file.
func (f *FS) wantRange(n *Node, p placed) fetch.Want {
	return fetch.Want{
		ID: p.id, Size: p.Len(),
		Keep:   func(plain []byte) error { return f.storeRange(n, p, plain) },
		Absent: func() bool { return f.missing(n, p) },
	}
}

// missing says whether a chunk of a ranged file is not all here.
func (f *FS) missing(n *Node, p placed) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.file.state == ranged && len(n.file.part.Present.Absent(p.Range)) > 0
}
