package vfs

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
)

// Wholes is what an Options.Near implements that knows whole files. Where the file
// system can, large files share their bytes with these instead of being written.
type Wholes interface {
	// Whole opens a file that had this id and this size when it was last looked at;
	// what it holds is checked before it is used.
	Whole(id chunk.ID, size uint64) (*os.File, error)
}

// near counts what a source gives.
type near struct {
	chunk.Source
	bytes atomic.Uint64
}

// Fetch implements chunk.Source.
func (s *near) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	return s.Source.Fetch(ctx, ids, func(i int, plain []byte, err error) error {
		if err == nil {
			s.bytes.Add(uint64(len(plain)))
		}
		return got(i, plain, err)
	})
}

// nearChunk is a chunk that somebody waits for, if this disk has it.
func (f *FS) nearChunk(ctx context.Context, id chunk.ID) (plain []byte, ok bool) {
	if f.o.Near == nil {
		return nil, false
	}
	plain, err := chunk.Get(ctx, f.o.Near, id)
	if err != nil {
		return nil, false // whatever it is, the network is asked
	}
	f.stats.near.Add(uint64(len(plain)))
	return plain, true
}

// nearSingle brings a file of one chunk that somebody waits for, if this disk has it.
func (f *FS) nearSingle(ctx context.Context, n *Node) error {
	if f.o.Near == nil {
		return nil
	}
	n.mu.Lock()
	err := f.loadLocked(n)
	s, id := n.file.state, n.file.mark.Content.ID
	n.mu.Unlock()
	if err != nil || s != single {
		return err
	}
	plain, ok := f.nearChunk(ctx, id)
	if !ok {
		return nil
	}
	return f.store1(n, id, plain)
}

// nearRanges brings what this disk has of ranges that somebody waits for, and
// returns those that are absent still.
func (h *Handle) nearRanges(ctx context.Context, absent []backing.Range) ([]backing.Range, error) {
	if h.f.o.Near == nil {
		return absent, nil
	}
	want := backing.Range{Start: absent[0].Start, End: absent[len(absent)-1].End}
	chunks, err := h.f.chunksIn(ctx, h.n, want, h.f.sched.Demanded())
	if err != nil {
		return nil, err
	}
	ids := make([]chunk.ID, len(chunks))
	for i := range chunks {
		ids[i] = chunks[i].id
	}
	err = h.f.o.Near.Fetch(ctx, ids, func(i int, plain []byte, err error) error {
		if err != nil {
			return nil
		}
		h.f.stats.near.Add(uint64(len(plain)))
		return h.f.storeRange(h.n, chunks[i], plain)
	})
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	return h.absentLocked(want), err
}

// FillNear brings what this disk has of files and parts of files, in the
// background, and says which of them need nothing more.
func (f *FS) FillNear(ctx context.Context, parts []Part) (whole []bool, err error) {
	whole = make([]bool, len(parts))
	if f.o.Near == nil {
		return whole, nil
	}
	b := filler{f: f, src: f.near, errs: make([]error, len(parts))}
	defer b.forget()
	for i, p := range parts {
		b.item = i
		b.note(i, b.addPart(ctx, p))
	}
	b.fetch(ctx)
	for i, err := range b.errs {
		whole[i] = err == nil
	}
	return whole, f.settleFull()
}

// clone has a large file of which nothing is here yet share the bytes of a file on
// this disk, and says whether it needs nothing more. It is tried once.
func (f *FS) clone(ctx context.Context, n *Node) (whole bool, err error) {
	from, ok := f.o.Near.(Wholes)
	if !ok {
		return false, nil
	}
	n.plant.Lock() // pieces of one file come at once
	defer n.plant.Unlock()
	n.mu.Lock()
	c := n.file
	try := c.state == ranged && !c.tried && len(c.part.Present.All()) == 0
	c.tried = c.tried || try
	state, m := c.state, c.mark
	n.mu.Unlock()
	if !try {
		return state != ranged, nil
	}
	src, err := from.Whole(m.Content.ID, m.Size)
	if err != nil {
		return false, nil // then by chunks
	}
	defer src.Close()
	// It is checked where nobody can read or write it: what lies beneath a
	// placeholder counts as zeros where zeros are to be written.
	temp, err := f.store.Temp()
	if err != nil {
		return false, nil
	}
	defer temp.Close()
	if err := temp.Adopt(ctx, src, m.Size, m.Content.ID); err != nil {
		return false, ctx.Err()
	}
	return f.storeWhole(n, temp)
}

// storeWhole has a large file share the bytes of temp, which were verified, unless
// somebody was faster.
func (f *FS) storeWhole(n *Node, temp *backing.File) (whole bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.file
	if c.state != ranged || len(c.part.Present.All()) > 0 {
		return c.state != ranged, nil
	}
	a, err := c.file.Stat()
	if err != nil || a.Size != c.mark.Size {
		return false, err
	}
	if err := c.file.Share(temp, c.mark.Size); err != nil {
		return false, nil // then by chunks
	}
	if err := f.restore(c.file, &c.mark, a.Mtime); err != nil {
		return false, fmt.Errorf("keeping what was cloned: %w", err)
	}
	f.stats.near.Add(c.mark.Size)
	c.part.Fetched(backing.Range{End: c.mark.Size})
	f.defers(n, 0)
	return true, f.completeLocked(n)
}
