package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/wire"
)

// bulkBatch is how many chunks a bulk request asks for at most: enough to hide the
// way there and back, few enough that a broken connection costs little.
const bulkBatch = 1024

// Source returns the server's chunks over the connections of one class. Damaged and
// missing ones wrap chunk.ErrDamaged and chunk.ErrNotFound, refused ones
// wire.ErrDenied, what a broken link did not deliver wire.ErrUnreachable.
func (c *Client) Source(class Class) chunk.Source { return &source{c, class} }

type source struct {
	c     *Client
	class Class
}

// Fetch implements chunk.Source.
func (s *source) Fetch(ctx context.Context, ids []chunk.ID, got func(i int, plain []byte, err error) error) error {
	for start := 0; start < len(ids); start += bulkBatch {
		part := ids[start:min(start+bulkBatch, len(ids))]
		err := s.batch(ctx, part, func(i int, plain []byte, err error) error { return got(start+i, plain, err) })
		if err != nil {
			return err
		}
	}
	return nil
}

// batch makes one request. Whatever goes wrong with it becomes the error of each id that was not delivered.
func (s *source) batch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	body := make([]byte, 0, len(ids)*len(chunk.ID{}))
	for i := range ids {
		body = append(body, ids[i][:]...)
	}
	d := &delivery{ids: ids, done: make([]bool, len(ids)), got: got}
	err := s.c.once(ctx, s.request(body), func(r io.Reader) error { return s.receive(ctx, r, d) })
	if d.refused != nil {
		return d.refused
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		return nil
	}
	if !passing(err) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		err = fmt.Errorf("%w: the server at %s broke off", wire.ErrUnreachable, s.c.base)
	}
	return d.rest(err)
}

// request asks for chunks at the pace of the class.
func (s *source) request(body []byte) request {
	r := request{class: s.class, method: "POST", path: "/v1/chunks", body: body, kind: wire.TypeBinary, prompt: true}
	pace := s.c.pace.Load()
	switch {
	case s.class == Demand, s.class == Ahead: // somebody reads
		r.pace = wire.PaceDemand
	case s.class == Bulk && pace != nil:
		r.pace, r.heard = *pace, &hearing{ear: &s.c.ear}
	}
	return r
}

// receive reads the records. Frames are decoded in parallel where many were asked for.
func (s *source) receive(ctx context.Context, r io.Reader, d *delivery) error {
	workers := min(runtime.GOMAXPROCS(0), len(d.ids))
	if workers < 2 || s.class == Demand {
		return d.read(r, func(i int, f wire.Frame) error { return d.deliver(i, f) })
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work := make(chan received, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for w := range work {
				if d.deliver(w.i, w.f) != nil {
					cancel()
				}
				frames.Put(w.buf)
			}
		})
	}
	err := d.read(r, func(i int, f wire.Frame) error {
		buf := frames.Get().(*[]byte)
		*buf = append((*buf)[:0], f.Bytes...)
		f.Bytes = *buf
		select {
		case work <- received{i, f, buf}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(work)
	wg.Wait()
	return err
}

type received struct {
	i   int
	f   wire.Frame
	buf *[]byte
}

var frames = sync.Pool{New: func() any { return new([]byte) }}

// delivery hands chunks over, one at a time.
type delivery struct {
	ids []chunk.ID

	// mu guards what follows, and calls of got.
	mu      sync.Mutex
	done    []bool
	got     func(int, []byte, error) error
	refused error
}

// read takes the records off r and checks that they are the ones asked for.
func (d *delivery) read(r io.Reader, each func(int, wire.Frame) error) error {
	buf := *frames.Get().(*[]byte)
	defer func() { frames.Put(&buf) }()
	for i := 0; ; i++ {
		var f wire.Frame
		var err error
		f, buf, err = wire.ReadFrame(r, buf)
		if err != nil {
			return err
		}
		if f.Status == wire.FrameEnd {
			if i != len(d.ids) {
				return fmt.Errorf("%w: %d chunks for %d asked", wire.ErrInternal, i, len(d.ids))
			}
			return nil
		}
		if i >= len(d.ids) || f.ID != d.ids[i] {
			return fmt.Errorf("%w: chunk %s was not asked for", wire.ErrInternal, f.ID)
		}
		if err := each(i, f); err != nil {
			return err
		}
	}
}

// deliver decodes and verifies one record and hands it over.
func (d *delivery) deliver(i int, f wire.Frame) error {
	buf := frames.Get().(*[]byte)
	defer frames.Put(buf)
	plain, err := (*buf)[:0], error(nil)
	switch f.Status {
	case wire.FrameOK:
		plain, err = chunk.Decode(plain, f.Bytes, f.ID)
	case wire.FrameMissing:
		err = fmt.Errorf("chunk %s: %w", f.ID, chunk.ErrNotFound)
	case wire.FrameDamaged:
		err = fmt.Errorf("chunk %s: %w on the server", f.ID, chunk.ErrDamaged)
	case wire.FrameDenied:
		err = fmt.Errorf("chunk %s: %w", f.ID, wire.ErrDenied)
	default:
		err = fmt.Errorf("chunk %s: %w: record status %d", f.ID, wire.ErrInternal, f.Status)
	}
	*buf = plain
	return d.hand(i, plain, err)
}

func (d *delivery) hand(i int, plain []byte, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refused != nil {
		return d.refused
	}
	if err != nil {
		plain = nil
	}
	d.done[i] = true
	d.refused = d.got(i, plain, err)
	return d.refused
}

// rest reports err for everything that was not delivered.
func (d *delivery) rest(err error) error {
	for i := range d.ids {
		if d.done[i] {
			continue
		}
		if err := d.hand(i, nil, fmt.Errorf("chunk %s: %w", d.ids[i], err)); err != nil {
			return err
		}
	}
	return nil
}
