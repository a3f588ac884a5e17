package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

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
// something was written is a *Cut. If w has SetWriteDeadline, a peer that takes less than 8 KiB a second is cut off.
//
// A demand waits for nothing that is sent to its device, unless a limit holds for it, too; what is paced gives way to it.
func (s *Service) Fetch(ctx context.Context, device int64, ids []chunk.ID, how Pace, w io.Writer) error {
	how.Demand = how.Demand || len(ids) <= DemandMax && !how.Pieces // what says nothing and asks for little is one as well
	slow, _ := w.(deadliner)
	f := &fetch{
		s: s, rest: ids, device: device, looked: time.Now(), pace: pace{w: w, peer: slow}, how: how,
		readable: func(ids []chunk.ID) (map[chunk.ID]postgres.Chunk, error) { return s.readable(ctx, device, ids) },
	}
	f.line = s.lines.use(device)
	defer s.lines.drop(device, f.line)
	if how.Pieces {
		f.line.ask(how.Rate)
	}
	f.out = bufio.NewWriterSize(newSender(ctx, s, f.line, how, &f.pace), 64<<10)
	if len(ids) == 0 {
		return f.end()
	}
	if how.Demand {
		return f.one(ctx)
	}
	if how.Pieces && how.Rate > 0 {
		return f.inTurn(ctx)
	}
	return f.run(ctx)
}

// inTurn is run for what is paced: behind the answers that the device has asked for before. It begins at once, so that
// the device knows that it is heard.
func (f *fetch) inTurn(ctx context.Context) error {
	if err := f.lookUp(); err != nil {
		return err
	}
	if w, ok := f.pace.w.(http.Flusher); ok {
		f.wrote = true
		w.Flush()
	}
	f.until = time.Now().Add(turnTime)
	leave, err := enter(ctx, f.line.ahead, f.until)
	if err != nil {
		return f.broken(err)
	}
	defer leave()
	f.turn = f.line.turn
	return f.run(ctx)
}

// DemandMax is up to how many chunks a request counts as a demand where it does not say what it is; lookupMax is how
// many of a request's are looked up at once.
const (
	DemandMax = 4
	lookupMax = 2048
)

// readable locates the chunks that the device may read. What it may not is left out, after a look into the
// database: what the cache says may be old.
func (s *Service) readable(ctx context.Context, device int64, ids []chunk.ID) (map[chunk.ID]postgres.Chunk, error) {
	e, err := s.ofDevice(ctx, device)
	if err == nil && len(e) == 0 {
		err = s.db.CheckApproved(ctx, device) // its chunks are not missing, it may not have them
	}
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
	s        *Service
	device   int64
	rest     []chunk.ID // not looked up yet
	readable func([]chunk.ID) (map[chunk.ID]postgres.Chunk, error)
	ids      []chunk.ID // looked up: what is in chunks may be read
	chunks   map[chunk.ID]postgres.Chunk
	looked   time.Time // when the device was last known to be approved
	pace     pace
	out      *bufio.Writer
	wrote    bool

	how   Pace
	line  *line
	turn  chan struct{} // to be entered before something is written, if not nil,
	until time.Time     // but not waited for beyond this
}

// window is a run of the chunks asked for. place is each one's record, or -1.
type window struct {
	leave   func()
	ids     []chunk.ID
	place   []int
	records []record
	buf     []byte
}

// plainPool has buffers for the plain bytes of one chunk.
var plainPool = sync.Pool{New: func() any { return new(make([]byte, 0, chunk.MaxSize)) }}

var windowPool = sync.Pool{New: func() any { return &window{buf: make([]byte, 0, windowBytes+windowBytes/4)} }}

// newWindow is a window for so many bytes. A small one takes no more memory than it needs.
func newWindow(most int) *window {
	if most < windowBytes {
		return &window{}
	}
	return windowPool.Get().(*window)
}

// one answers without another goroutine: a demand waits for it.
func (f *fetch) one(ctx context.Context) error {
	for {
		w, err := f.next(ctx)
		if err == nil && w == nil {
			return f.end()
		}
		if err == nil {
			err = f.write(w)
			f.release(w)
		}
		if err != nil {
			return f.broken(err)
		}
	}
}

func (f *fetch) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	ready := make(chan *window)
	g.Go(func() error {
		err := f.produce(ctx, ready)
		if err == nil {
			close(ready)
		}
		return err
	})
	g.Go(func() error { return f.consume(ctx, ready) })
	if err := g.Wait(); err != nil {
		return f.broken(err)
	}
	return nil
}

func (f *fetch) produce(ctx context.Context, ready chan<- *window) error {
	for {
		w, err := f.next(ctx)
		if err != nil || w == nil {
			return err
		}
		select {
		case ready <- w:
		case <-ctx.Done():
			f.release(w)
			return ctx.Err()
		}
	}
}

// consume writes what is ready; ready is closed only at the end of all.
func (f *fetch) consume(ctx context.Context, ready <-chan *window) error {
	if f.turn != nil {
		alone := len(f.turn) == 0
		leave, err := enter(ctx, f.turn, f.until)
		if err != nil {
			return err
		}
		defer leave()
		if alone {
			f.line.rested()
		}
	}
	for {
		select {
		case w, some := <-ready:
			if !some {
				return f.end()
			}
			err := f.write(w)
			f.release(w)
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// most is how many bytes a window has at this moment: of what is sent slowly half a second's, within bounds, for its place
// is held until it is sent.
func (f *fetch) most() int {
	at := f.line.rate(&f.how)
	if at == 0 || at >= slowRate {
		return windowBytes
	}
	return int(min(max(at/2, windowMin), windowBytes/slowPlaces))
}

// places are those for windows of so many bytes: what is sent slowly holds them long, in the way of nothing that is fast.
func (f *fetch) places(most int) *places {
	switch slow := most < windowBytes; {
	case slow && f.how.Demand:
		return f.s.slowDemand
	case slow:
		return f.s.slowBulk
	case f.how.Demand:
		return f.s.demand
	}
	return f.s.bulk
}

// next reads the next window, for which it waits for a place; nil at the end. Give it back with release.
func (f *fetch) next(ctx context.Context) (*window, error) {
	if err := f.lookUp(); err != nil || len(f.ids) == 0 {
		return nil, err
	}
	most := f.most()
	leave, err := f.places(most).enter(ctx, f.device)
	if err != nil {
		return nil, err
	}
	if err := f.approved(ctx); err != nil {
		leave()
		return nil, err
	}
	w := newWindow(most)
	w.leave = leave
	f.fill(w, most)
	if err := w.read(ctx, f.s); err != nil {
		f.release(w)
		return nil, err
	}
	return w, nil
}

func (f *fetch) release(w *window) {
	leave := w.leave
	w.leave = nil
	if cap(w.buf) >= windowBytes {
		windowPool.Put(w)
	}
	leave()
}

// approvedFor is how long a request goes on without a look whether its device still may.
const approvedFor = 5 * time.Second

func (f *fetch) approved(ctx context.Context) error {
	now := time.Now()
	if now.Sub(f.looked) < approvedFor {
		return nil
	}
	f.looked = now
	return f.s.db.CheckApproved(ctx, f.device)
}

// lookUp finds out where the next chunks lie that may be read.
func (f *fetch) lookUp() (err error) {
	if len(f.ids) > 0 || len(f.rest) == 0 {
		return nil
	}
	n := min(len(f.rest), lookupMax)
	f.ids, f.rest = f.rest[:n], f.rest[n:]
	f.chunks, err = f.readable(f.ids)
	return err
}

// fill takes the next chunks off f.ids, up to most bytes; false if there are none.
func (f *fetch) fill(w *window, most int) bool {
	w.place, w.records, w.buf = w.place[:0], w.records[:0], w.buf[:0]
	size, n := 0, 0
	for ; n < len(f.ids) && n < windowChunks && size < most; n++ {
		c, ok := f.chunks[f.ids[n]]
		if !ok {
			w.place = append(w.place, -1)
			continue
		}
		if size += int(c.Length); size > most && n > 0 {
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

// write sends a window, in the time that its size allows.
func (f *fetch) write(w *window) error {
	size := 0
	for i := range w.records {
		size += len(w.records[i].Frame)
	}
	f.pace.begin(size)
	defer f.pace.end()
	return f.send(w)
}

func (f *fetch) send(w *window) error {
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
