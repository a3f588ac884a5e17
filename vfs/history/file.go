package history

import (
	"context"
	"fmt"
	"sort"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sync/errgroup"
)

// File is an open file of a snapshot.
type File struct {
	h      *History
	e      *Entry
	chunks []placed
}

// placed is a chunk with its offset in the file.
type placed struct {
	cvd.Ref
	at uint64
}

// Open opens a file.
func (h *History) Open(ctx context.Context, e *Entry) (*File, error) {
	refs, err := cvd.ChunksOf(ctx, source{h}, e.Size, &e.Content)
	if err != nil {
		return nil, err
	}
	f := &File{h: h, e: e, chunks: make([]placed, len(refs))}
	var at uint64
	for i, r := range refs {
		f.chunks[i] = placed{r, at}
		at += r.Size
	}
	return f, nil
}

// Size is the file's length in bytes.
func (f *File) Size() uint64 { return f.e.Size }

// atOnce is how many chunks one read fetches together.
const atOnce = 8

// ReadAt reads up to len(p) bytes; fewer only at the end of the file.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 || uint64(off) >= f.e.Size {
		return 0, nil
	}
	from := uint64(off)
	p = p[:min(uint64(len(p)), f.e.Size-from)]
	if f.e.Size <= cvd.InlineMax {
		return copy(p, f.e.Content.Inline[from:]), nil
	}
	to := from + uint64(len(p))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	first := sort.Search(len(f.chunks), func(i int) bool { return f.chunks[i].at+f.chunks[i].Size > from })
	for _, c := range f.chunks[first:] {
		if c.at >= to {
			break
		}
		g.Go(func() error {
			plain, err := f.h.chunk(ctx, c.ID)
			if err == nil && uint64(len(plain)) != c.Size {
				err = fmt.Errorf("chunk %s: %w: %d bytes, not %d", c.ID, chunk.ErrDamaged, len(plain), c.Size)
			}
			if err == nil {
				skip := max(from, c.at)
				copy(p[skip-from:], plain[skip-c.at:])
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return len(p), nil
}
