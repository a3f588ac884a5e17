package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

var (
	errSums  = errors.New("the sums that its parent gives are not what is in it")
	errParts = errors.New("the parts of a split directory do not fit together")
)

// node checks a node against what was said about it and takes up what it names.
func (w *walk) node(t *todo, n *cvd.Node) error {
	if err := t.fits(n); err != nil {
		return invalid(t.id, err)
	}
	var sums cvd.Sums
	for i := range n.Children {
		c := &n.Children[i]
		sums.Plus(c.Sums)
		w.stack = append(w.stack, todo{id: c.ID, sums: c.Sums, first: c.First, level: n.Level - 1})
	}
	for i := range n.Entries {
		e := &n.Entries[i]
		sums.Add(e)
		if err := w.entry(e); err != nil {
			return invalid(t.id, err)
		}
	}
	if sums != t.sums {
		return invalid(t.id, errSums)
	}
	return nil
}

// fits checks a part of a split directory: its height and its first name.
func (t *todo) fits(n *cvd.Node) error {
	if t.level < 0 {
		return nil
	}
	first := ""
	switch {
	case n.Level != t.level:
		return errParts
	case len(n.Children) > 0:
		first = n.Children[0].First
	case len(n.Entries) > 0:
		first = n.Entries[0].Name
	}
	if first != t.first {
		return errParts
	}
	return nil
}

func (w *walk) entry(e *cvd.Entry) error {
	switch e.Type {
	case cvd.Dir:
		w.stack = append(w.stack, todo{id: e.Tree, sums: e.Sums, level: -1})
	case cvd.File:
		if err := w.content(e.Size, &e.Content); err != nil {
			return fmt.Errorf("%q: %w", e.Name, err)
		}
	}
	return w.streams(e)
}

func (w *walk) streams(e *cvd.Entry) error {
	if e.Windows == nil {
		return nil
	}
	for i := range e.Windows.Streams {
		st := &e.Windows.Streams[i]
		if err := w.content(st.Size, &st.Content); err != nil {
			return fmt.Errorf("%q: stream %q: %w", e.Name, st.Name, err)
		}
	}
	return nil
}

// content takes up the chunks of a file.
func (w *walk) content(size uint64, c *cvd.Content) error {
	switch {
	case size <= cvd.InlineMax:
		return nil
	case len(c.Chunks) == 0:
		w.refs = append(w.refs, ref{Ref: cvd.Ref{ID: c.ID, Size: size}})
		return nil
	}
	f, again := w.large(size, c)
	switch {
	case again:
		return nil
	case c.Listed:
		w.lists = append(w.lists, &listed{c.Chunks, f})
		return nil
	}
	for _, r := range c.Chunks {
		w.refs = append(w.refs, ref{r, f})
	}
	return nil
}

// large starts the row of a large file; again says that it was followed already, as a hard link or a copy. Should a
// tree give two contents for one file id, only the first is entered.
func (w *walk) large(size uint64, c *cvd.Content) (f *large, again bool) {
	encoded := cvd.EncodeContent(size, c)
	sum := sumOf(encoded)
	if before, known := w.known[c.ID]; known {
		return nil, before == sum
	}
	w.known[c.ID] = sum
	return &large{row: postgres.File{ID: c.ID, CVD: w.cvd, Content: encoded}, set: roaring64.New(), left: len(c.Chunks)}, false
}

func sumOf(b []byte) (s fileSum) {
	id := chunk.Sum(b)
	copy(s[:], id[:])
	return s
}

// flush looks up all chunks of bytes that were taken up.
func (w *walk) flush(ctx context.Context) error {
	if err := w.flushRefs(ctx); err != nil {
		return err
	}
	lists := w.lists
	w.lists = nil
	for _, l := range lists {
		for _, r := range l.lists {
			if err := w.list(ctx, r, l.file); err != nil {
				return err
			}
			if err := w.flushRefs(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// list reads one list chunk and takes up what it names.
func (w *walk) list(ctx context.Context, l cvd.Ref, file *large) error {
	return w.one(ctx, l.ID, func(c *postgres.Chunk, plain []byte) error {
		refs, err := cvd.DecodeList(plain)
		if err != nil {
			return err
		}
		var size uint64
		for _, r := range refs {
			if r.Size > chunk.MaxSize {
				return fmt.Errorf("a chunk of %d bytes", r.Size)
			}
			size += r.Size
			w.refs = append(w.refs, ref{r, file})
		}
		if size != l.Size {
			return fmt.Errorf("a list of %d bytes is said to have %d", size, l.Size)
		}
		if file != nil {
			file.left += len(refs)
		}
		w.found(ref{l, file}, c)
		return nil
	})
}

// flushRefs checks that every chunk taken up is there and as long as it should be.
func (w *walk) flushRefs(ctx context.Context) error {
	for part := range slices.Chunk(w.refs, batchRefs) {
		ids := make([]chunk.ID, len(part))
		for i := range part {
			ids[i] = part[i].ID
		}
		chunks, err := w.locate(ctx, ids)
		if err != nil {
			return err
		}
		for _, r := range part {
			c, ok := w.has(chunks, r.ID)
			if !ok {
				w.miss(r.ID)
				continue
			}
			if uint64(c.Plain) != r.Size {
				return invalid(r.ID, fmt.Errorf("it has %d bytes, and a file says %d", c.Plain, r.Size))
			}
			w.add(c)
			w.found(r, &c)
		}
		if len(w.files) >= batchFiles {
			if err := w.putFiles(ctx); err != nil {
				return err
			}
		}
	}
	w.refs = w.refs[:0]
	return nil
}

// found notes that a chunk of a large file is there; the last one makes the file known.
func (w *walk) found(r ref, c *postgres.Chunk) {
	f := r.file
	if f == nil {
		return
	}
	f.set.Add(c.Serial)
	if f.left--; f.left == 0 {
		w.files = append(w.files, f.row)
		w.files[len(w.files)-1].Serials, _ = encodeSet(f.set) // into memory: it cannot fail
	}
}

// putFiles enters the large files that are all there.
func (w *walk) putFiles(ctx context.Context) error {
	if len(w.files) == 0 {
		return nil
	}
	err := w.s.db.PutFiles(ctx, w.cvd, w.files)
	w.files = w.files[:0]
	return err
}
