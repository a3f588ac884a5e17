package history

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// Entry is an entry of the tree. It does not change.
type Entry struct {
	cvd.Entry
	// Ino is its number.
	Ino uint64
	// of is nil for Top and what it holds itself besides snapshots.
	of *snapshot
}

// IsTop says whether the entry is the directory of all snapshots. What that
// holds comes and goes with them; no other directory changes.
func (e *Entry) IsTop() bool { return e.Ino == topIno }

// Numbers of entries have one bit that no disk's have, and are positive for
// whoever takes them for signed.
const topIno = 1 << 62

// number is the number of what the entry with the number up holds under name.
func number(up uint64, name string) uint64 {
	sum := chunk.Sum(append(binary.LittleEndian.AppendUint64(nil, up), name...))
	return topIno | binary.LittleEndian.Uint64(sum[:])>>2
}

// under makes what a directory holds an Entry of its own.
func under(dir *Entry, e *cvd.Entry) *Entry {
	out := &Entry{Entry: *e, Ino: number(dir.Ino, e.Name), of: dir.of}
	if e.Group != 0 { // no name has a slash
		out.Ino = number(topIno, fmt.Sprintf("%s/%x", dir.of.ID, e.Group))
	}
	return out
}

// Lookup returns what dir holds under name; the error wraps fs.ErrNotExist if that is nothing.
func (h *History) Lookup(ctx context.Context, dir *Entry, name string) (*Entry, error) {
	if dir.IsTop() {
		return h.snapshot(ctx, name)
	}
	if dir.empty() {
		return nil, fs.ErrNotExist
	}
	e, err := cvd.Find(ctx, h.node, dir.Tree, name)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, fs.ErrNotExist
	}
	return under(dir, e).Apart(), nil
}

// empty says that a directory holds nothing, of which there need not be a node.
func (e *Entry) empty() bool { return e.Sums.Files+e.Sums.Dirs == 0 }

// Apart is the entry, holding on to no more memory than it takes itself.
func (e *Entry) Apart() *Entry {
	out := *e
	out.Content.Inline = bytes.Clone(e.Content.Inline)
	out.Xattrs = slices.Clone(e.Xattrs)
	for i := range out.Xattrs {
		out.Xattrs[i].Value = bytes.Clone(out.Xattrs[i].Value)
	}
	return &out
}

// List returns what a directory holds, in the order of names. Of snapshots it says no more
// than their names, types, times and numbers; Lookup does.
func (h *History) List(ctx context.Context, dir *Entry) ([]*Entry, error) {
	var out []*Entry
	if dir.IsTop() {
		all, err := h.all(ctx)
		for _, s := range all {
			e := cvd.Entry{Name: s.Name(), Type: cvd.Dir, Mtime: cvd.TimeOf(s.Taken)}
			out = append(out, &Entry{Entry: e, Ino: number(topIno, e.Name), of: s})
		}
		return out, err
	}
	if dir.empty() {
		return nil, nil
	}
	err := cvd.ReadDir(ctx, source{h}, dir.Tree, func(e *cvd.Entry) error {
		out = append(out, under(dir, e))
		return nil
	})
	if err == nil {
		dir.of.links.count(dir.Ino, out)
	}
	return out, err
}

// links counts the names of a snapshot's hard-linked files, in the directories
// that were listed so far: the tree does not say how many there are.
type links struct {
	mu      sync.Mutex
	names   map[uint64]uint32
	counted map[uint64]struct{}
}

func (l *links) count(dir uint64, entries []*Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, before := l.counted[dir]; before {
		return
	}
	for _, e := range entries {
		if e.Group == 0 {
			continue
		}
		if l.names == nil {
			l.names, l.counted = map[uint64]uint32{}, map[uint64]struct{}{}
		}
		l.names[e.Group]++
		l.counted[dir] = struct{}{}
	}
}

// Nlink is how many names the entry has: of a hard-linked file those that were
// listed, and two at least. A directory has one, which says nothing of what it holds.
func (e *Entry) Nlink() uint32 {
	if e.Group == 0 {
		return 1
	}
	e.of.links.mu.Lock()
	defer e.of.links.mu.Unlock()
	return max(2, e.of.links.names[e.Group])
}
