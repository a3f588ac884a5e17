package vfs

import (
	"context"
	"fmt"
	"os"
	"sort"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// state is how much of a file is here.
//
//	unknown --load--> native
//	                  single --stored, or truncated to 0--> unsettled --settled--> native
//	                  ranged --every range present-------->
//
// An unsettled file has all its bytes, but its mark still: it may be read, and
// settles before it is written.
type state uint8

const (
	unknown state = iota
	native
	single
	ranged
	unsettled
)

// content is a file's state, guarded by Node.mu.
type content struct {
	state state
	mark  backing.Mark
	// file is open for reading and writing while the file is ranged or unsettled.
	file *backing.File
	part *backing.Partial
	// refs are the chunks of a ranged file, at their offsets; nil until somebody needs them.
	refs []placed
	// tried is set once a clone was tried.
	tried bool
}

// Files of which nothing is known yet, or that are native, share one content
// each: most nodes of a desktop are such. They are never changed.
var (
	unknownFile = &content{}
	nativeFile  = &content{state: native}
)

// isNative is for a file that has no mark, or none any more. Called under n.mu.
func (n *Node) isNative() {
	n.file = nativeFile
	n.unmarked.Store(true)
}

// placed is a chunk at its offset in the file.
type placed struct {
	backing.Range
	id chunk.ID
}

func (c *content) close() {
	if c.part != nil {
		_ = c.part.Close()
	}
	if c.file != nil {
		_ = c.file.Close()
	}
}

// loadLocked finds out what the file is. Called under n.mu.
func (f *FS) loadLocked(n *Node) error {
	if n.file.state != unknown {
		return nil
	}
	f.names.RLock()
	r, err := f.ref(n)
	var m backing.Mark
	var marked bool
	if err == nil {
		m, marked, err = f.store.MarkOf(r)
	}
	f.names.RUnlock()
	switch {
	case err != nil:
		return err
	case !marked:
		n.isNative()
	case !m.Ranged():
		n.file = &content{state: single, mark: m}
	default:
		return f.loadRanged(n, m)
	}
	return nil
}

func (f *FS) loadRanged(n *Node, m backing.Mark) error {
	file, err := f.openBacking(n, os.O_RDWR)
	if err != nil {
		return err
	}
	part, err := f.store.OpenPartial(file, &m)
	if err != nil {
		_ = file.Close()
		return err
	}
	n.file = &content{state: ranged, mark: m, file: file, part: part}
	return f.completeLocked(n)
}

func (f *FS) openBacking(n *Node, flags int) (*backing.File, error) {
	f.names.RLock()
	defer f.names.RUnlock()
	r, err := f.ref(n)
	if err != nil {
		return nil, err
	}
	return r.OpenFile(flags)
}

// store1 writes a file of one chunk, unless somebody was faster. The bytes were verified.
func (f *FS) store1(n *Node, id chunk.ID, plain []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := f.loadLocked(n); err != nil {
		return err
	}
	c := n.file
	if c.state != single || c.mark.Content.ID != id {
		return nil
	}
	if uint64(len(plain)) != c.mark.Size {
		return wrongSize(id, len(plain), c.mark.Size)
	}
	file, err := f.openBacking(n, os.O_RDWR)
	if err != nil {
		return err
	}
	if err := f.writeHidden(file, plain, 0, &c.mark); err != nil {
		_ = file.Close()
		return err
	}
	c.file, c.state = file, unsettled
	f.defers(n, uint64(len(plain)))
	return nil
}

// wrongSize says that a chunk is not what the tree says of it: the rest of the
// file would be zeros.
func wrongSize(id chunk.ID, got int, want uint64) error {
	return fmt.Errorf("chunk %s: %w: %d bytes, not %d", id, chunk.ErrDamaged, got, want)
}

// writeHidden writes bytes that the file had all along: its time and its
// capabilities stay, it gets no longer, and zeros may stay holes.
func (f *FS) writeHidden(file *backing.File, p []byte, off uint64, m *backing.Mark) error {
	a, err := file.Stat()
	if err != nil {
		return err
	}
	if off >= a.Size {
		return nil
	}
	p = p[:min(uint64(len(p)), a.Size-off)]
	if err := writeData(file, p, off, m.Sparse); err != nil {
		return fmt.Errorf("keeping fetched bytes: %w", err)
	}
	return f.restore(file, m, a.Mtime)
}

// restore sets what a write took: the capabilities, and the time, which was t
// where the mark says nothing else.
func (f *FS) restore(file *backing.File, m *backing.Mark, t cvd.Time) error {
	if err := f.store.RestoreCaps(file, m); err != nil {
		return fmt.Errorf("keeping capabilities: %w", err)
	}
	if m.Timed {
		t = m.Mtime
	}
	return file.SetMtime(t)
}

// hole is the unit in which zeros stay holes.
const hole = 4 << 10

// remark changes the mark of a placeholder, because its user changes what the
// mark would otherwise restore. Called under n.mu.
func (f *FS) remark(n *Node, change func(*backing.Mark)) error {
	if n.typ != cvd.File {
		return nil
	}
	if err := f.loadLocked(n); err != nil || n.file.state == native {
		return err
	}
	m := n.file.mark
	change(&m)
	if m.Timed == n.file.mark.Timed && m.Mtime == n.file.mark.Mtime && len(m.Caps) == len(n.file.mark.Caps) {
		return nil
	}
	file, err := f.openBacking(n, os.O_RDWR)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := f.store.SetFileMark(file, &m); err != nil {
		return err
	}
	n.file.mark = m
	return nil
}

// forgetCaps is for a change of the owner or the capabilities themselves.
func forgetCaps(m *backing.Mark) { m.Caps = nil }

// forgetAll is for a write, which sets the time and takes capabilities away.
func forgetAll(m *backing.Mark) { m.Caps, m.Mtime, m.Timed = nil, cvd.Time{}, false }

func writeData(file *backing.File, p []byte, off uint64, sparse bool) error {
	for len(p) > 0 {
		n := len(p)
		if sparse {
			skip := zeros(p, off)
			p, off = p[skip:], off+uint64(skip)
			n = dataLen(p, off)
		}
		if n == 0 {
			continue
		}
		if _, err := file.WriteAt(p[:n], int64(off)); err != nil {
			return err
		}
		p, off = p[n:], off+uint64(n)
	}
	return nil
}

// zeros is the length of whole units of zeros at the start of p.
func zeros(p []byte, off uint64) int {
	n := 0
	for len(p) >= hole && (off+uint64(n))%hole == 0 && allZero(p[:hole]) {
		p, n = p[hole:], n+hole
	}
	return n
}

// dataLen is how far p goes until a whole unit of zeros.
func dataLen(p []byte, off uint64) int {
	n := min(len(p), int(hole-off%hole))
	for n < len(p) && !(len(p)-n >= hole && allZero(p[n:n+hole])) {
		n = min(len(p), n+hole)
	}
	return n
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// chunksIn returns the chunks of a ranged file that r touches, in order.
func (f *FS) chunksIn(ctx context.Context, n *Node, r backing.Range, src chunk.Source) ([]placed, error) {
	n.mu.Lock()
	refs, m := n.file.refs, n.file.mark
	n.mu.Unlock()
	if refs == nil {
		list, err := f.chunksOf(ctx, src, &m)
		if err != nil {
			return nil, err
		}
		refs = place(list)
		n.mu.Lock()
		if n.file.state == ranged {
			n.file.refs = refs
		}
		n.mu.Unlock()
	}
	i := sort.Search(len(refs), func(i int) bool { return refs[i].End > r.Start })
	j := i
	for ; j < len(refs) && refs[j].Start < r.End; j++ {
	}
	return refs[i:j], nil
}

func place(list []cvd.Ref) []placed {
	out := make([]placed, len(list))
	var at uint64
	for i, r := range list {
		out[i] = placed{backing.Range{Start: at, End: at + r.Size}, r.ID}
		at += r.Size
	}
	return out
}

// storeRange writes one chunk of a ranged file where it is not present yet.
func (f *FS) storeRange(n *Node, p placed, plain []byte) error {
	if uint64(len(plain)) != p.Len() {
		return wrongSize(p.id, len(plain), p.Len())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.file
	if c.state != ranged {
		return nil
	}
	for _, r := range c.part.Present.Absent(p.Range) {
		if err := f.writeHidden(c.file, plain[r.Start-p.Start:r.End-p.Start], r.Start, &c.mark); err != nil {
			return err
		}
		c.part.Fetched(r)
		f.defers(n, r.Len())
	}
	return f.completeLocked(n)
}

// completeLocked notices that a ranged file is all here. Called under n.mu.
func (f *FS) completeLocked(n *Node) error {
	c := n.file
	if c.state == ranged && c.part.Present.Holds(backing.Range{End: c.mark.Size}) {
		c.state = unsettled
		f.defers(n, 0)
	}
	return nil
}
