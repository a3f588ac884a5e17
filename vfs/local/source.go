package local

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/looming-project/looming/vfs/chunk"
)

// Source gives the chunks that indexes know, as far as they still lie there.
type Source struct {
	indexes []*Index
	given   atomic.Uint64
}

// NewSource returns a Source that asks the indexes in order.
func NewSource(indexes ...*Index) *Source { return &Source{indexes: indexes} }

// Given is how many bytes it gave.
func (s *Source) Given() uint64 { return s.given.Load() }

// Fetch implements chunk.Source. Where the bytes that an index knows of have changed, the error is chunk.ErrDamaged.
func (s *Source) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	r := reader{buf: buffers.Get().(*[]byte)}
	defer r.close()
	for i := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		plain, err := s.read(&r, &ids[i])
		if err == nil {
			s.given.Add(uint64(len(plain)))
		}
		if err := got(i, plain, err); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) read(r *reader, id *chunk.ID) ([]byte, error) {
	missing := chunk.ErrNotFound
	for _, x := range s.indexes {
		for _, at := range x.find(id, false) {
			if plain, err := r.read(x, &at); err == nil && chunk.Sum(plain) == *id {
				return plain, nil
			}
			missing = chunk.ErrDamaged
		}
	}
	return nil, fmt.Errorf("chunk %s: %w on this disk", id, missing)
}

// Whole opens a file that had this id and size when it was indexed, or fails with chunk.ErrNotFound. What it holds now is
// for the caller to verify.
func (s *Source) Whole(id chunk.ID, size uint64) (*os.File, error) {
	for _, x := range s.indexes {
		for _, at := range x.find(&id, true) {
			if at.off != size {
				continue
			}
			f, err := x.file(&at)
			if err != nil {
				continue
			}
			if info, err := f.Stat(); err == nil && info.Size() == int64(size) {
				return f, nil
			}
			_ = f.Close()
		}
	}
	return nil, fmt.Errorf("file %s: %w on this disk", id, chunk.ErrNotFound)
}

// file opens the file that a place is in.
func (x *Index) file(at *spot) (*os.File, error) {
	path, err := readPath(at.heap, at.at)
	if err != nil {
		return nil, err
	}
	return x.tree.open(path)
}

var buffers = sync.Pool{New: func() any { b := make([]byte, chunk.MaxSize); return &b }}

// reader reads places. It keeps the last file open, for the chunks of one follow each other.
type reader struct {
	buf *[]byte
	f   *os.File
	of  io.ReaderAt // the heap that has f's path,
	at  uint64      // and where
}

func (r *reader) read(x *Index, s *spot) ([]byte, error) {
	plain := (*r.buf)[:s.size]
	if s.kind == ofHeap {
		_, err := s.heap.ReadAt(plain, int64(s.at))
		return plain, err
	}
	if r.f == nil || r.of != s.heap || r.at != s.at {
		f, err := x.file(s)
		if err != nil {
			return nil, err
		}
		if r.f != nil {
			_ = r.f.Close()
		}
		r.f, r.of, r.at = f, s.heap, s.at
	}
	_, err := r.f.ReadAt(plain, int64(s.off))
	return plain, err
}

func (r *reader) close() {
	buffers.Put(r.buf)
	if r.f != nil {
		_ = r.f.Close()
	}
}
