package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/wire"
)

// Cut is an error after an answer began: it can only be broken off.
type Cut struct{ Err error }

func (e *Cut) Error() string { return fmt.Sprintf("the answer was broken off: %v", e.Err) }
func (e *Cut) Unwrap() error { return e.Err }

// Fetch writes a frame record for each chunk, in the order asked, and FrameEnd.
// A chunk that the device may not read, or that is unknown, is FrameMissing; one
// that cannot be read, or whose record is not whole, is FrameDamaged. An error after
// something was written is a *Cut.
func (s *Service) Fetch(ctx context.Context, device int64, ids []chunk.ID, w io.Writer) error {
	leave, err := enter(ctx, s.fetches)
	if err != nil {
		return err
	}
	defer leave()
	chunks, err := s.readable(ctx, device, ids)
	if err != nil {
		return err
	}
	f := &fetch{s: s, ids: ids, chunks: chunks, out: bufio.NewWriterSize(w, 64<<10)}
	if len(ids) <= 4 {
		return f.one(ctx)
	}
	return f.run(ctx)
}

// readable locates the chunks that the device may read. What it may not is left out, after a look into the
// database: what the cache says may be old.
func (s *Service) readable(ctx context.Context, device int64, ids []chunk.ID) (map[chunk.ID]postgres.Chunk, error) {
	e, err := s.ofDevice(ctx, device)
	if err != nil {
		return nil, err
	}
	chunks, err := s.locate(ctx, ids)
	if err != nil {
		return nil, err
	}
	doubt := outside(chunks, e)
	if len(doubt) == 0 {
		return chunks, nil
	}
	held, err := s.heldByDevice(ctx, device)
	if err != nil {
		return nil, err
	}
	e = append(e, held...)
	fresh, err := s.db.Chunks(ctx, outside(chunks, e))
	if err != nil {
		return nil, err
	}
	for _, id := range doubt {
		if c, ok := fresh[id]; ok {
			chunks[id] = c
			s.where.put(id, c)
		}
		if !e.has(chunks[id].Serial) {
			delete(chunks, id)
			s.stats.denied.Add(1)
		}
	}
	return chunks, nil
}

func outside(chunks map[chunk.ID]postgres.Chunk, e entitlement) (ids []chunk.ID) {
	for id, c := range chunks {
		if !e.has(c.Serial) {
			ids = append(ids, id)
		}
	}
	return ids
}

// fetch is one request: windows are read while the one before is written.
type fetch struct {
	s      *Service
	ids    []chunk.ID
	chunks map[chunk.ID]postgres.Chunk
	out    *bufio.Writer
	wrote  bool
}

// window is a run of the chunks asked for. place is each one's record, or -1.
type window struct {
	ids     []chunk.ID
	place   []int
	records []record
	buf     []byte
}

// plainPool has buffers for the plain bytes of one chunk.
var plainPool = sync.Pool{New: func() any { return new(make([]byte, 0, chunk.MaxSize)) }}

var windowPool = sync.Pool{New: func() any { return &window{buf: make([]byte, 0, windowBytes+windowBytes/4)} }}

// one answers without another goroutine: a demand waits for it.
func (f *fetch) one(ctx context.Context) error {
	w := windowPool.Get().(*window)
	defer windowPool.Put(w)
	for f.fill(w) {
		if err := w.read(ctx, f.s); err != nil {
			return f.broken(err)
		}
		if err := f.write(w); err != nil {
			return f.broken(err)
		}
	}
	return f.end()
}

func (f *fetch) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	ready := make(chan *window)
	g.Go(func() error {
		defer close(ready)
		return f.produce(ctx, ready)
	})
	g.Go(func() error { return f.consume(ctx, ready) })
	if err := g.Wait(); err != nil {
		return f.broken(err)
	}
	return f.end()
}

func (f *fetch) produce(ctx context.Context, ready chan<- *window) error {
	for {
		w := windowPool.Get().(*window)
		if !f.fill(w) {
			windowPool.Put(w)
			return nil
		}
		if err := w.read(ctx, f.s); err != nil {
			return err
		}
		select {
		case ready <- w:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *fetch) consume(ctx context.Context, ready <-chan *window) error {
	for w := range ready {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.write(w); err != nil {
			return err
		}
		windowPool.Put(w)
	}
	return nil
}

// fill takes the next chunks off f.ids; false if there are none.
func (f *fetch) fill(w *window) bool {
	w.place, w.records, w.buf = w.place[:0], w.records[:0], w.buf[:0]
	size, n := 0, 0
	for ; n < len(f.ids) && n < windowChunks && size < windowBytes; n++ {
		c, ok := f.chunks[f.ids[n]]
		if !ok {
			w.place = append(w.place, -1)
			continue
		}
		if size += int(c.Length); size > windowBytes && n > 0 {
			break
		}
		w.place = append(w.place, len(w.records))
		w.records = append(w.records, recordOf(f.ids[n], c))
	}
	w.ids, f.ids = f.ids[:n], f.ids[n:]
	return n > 0
}

func (w *window) read(ctx context.Context, s *Service) (err error) {
	w.buf, err = s.read(ctx, w.records, w.buf)
	return err
}

func (f *fetch) write(w *window) error {
	var head [wire.HeadSize]byte
	for i, id := range w.ids {
		status, frame := byte(wire.FrameMissing), []byte(nil)
		if p := w.place[i]; p >= 0 {
			if status = wire.FrameDamaged; w.records[p].Err == nil {
				status, frame = wire.FrameOK, w.records[p].Frame
				f.s.stats.fetchedChunks.Add(1)
				f.s.stats.fetchedBytes.Add(uint64(len(frame)))
			}
		}
		f.wrote = true
		if _, err := f.out.Write(wire.AppendHead(head[:0], status, id, len(frame))); err != nil {
			return err
		}
		if _, err := f.out.Write(frame); err != nil {
			return err
		}
	}
	return nil
}

func (f *fetch) end() error {
	f.wrote = true
	if err := wire.WriteFrame(f.out, wire.Frame{Status: wire.FrameEnd}); err != nil {
		return f.broken(err)
	}
	if err := f.out.Flush(); err != nil {
		return f.broken(err)
	}
	return nil
}

func (f *fetch) broken(err error) error {
	var cut *Cut
	if f.wrote && !errors.As(err, &cut) {
		return &Cut{err}
	}
	return err
}
