package sis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/wire"
)

const (
	slabCap  = RecordHead + chunk.MaxFrame
	slabFull = 256 << 10
	// slabs is how many of them one Receive has in its hands at most: they bound its memory to about 3 MiB, and
	// a verifier takes one more while it decodes.
	slabs     = 3
	verifiers = 2
)

// Slab is a run of records as they lie in a pack. Offsets of Entries are relative to Records.
type Slab struct {
	Records []byte
	Entries []Entry

	err  error
	done chan struct{}
}

var slabPool = sync.Pool{New: func() any {
	return &Slab{Records: make([]byte, 0, slabCap), done: make(chan struct{}, 1)}
}}

var plainPool = sync.Pool{New: func() any { return new(make([]byte, 0, chunk.MaxSize)) }}

// BadFrame is a record whose frame does not hold what its id says.
type BadFrame struct {
	ID  chunk.ID
	Err error
}

func (e *BadFrame) Error() string {
	return fmt.Sprintf("the frame sent as chunk %s was refused: %v: send it anew", e.ID, e.Err)
}

// Unwrap makes it wire.ErrIntegrity.
func (e *BadFrame) Unwrap() error { return wire.ErrIntegrity }

// Receive reads the frame records of one upload from r to its end, verifies
// them, and hands them to sink in order. A slab is sink's until it returns.
//
// Whatever goes wrong, all whole verified records before it have been handed
// over. The end of r within a record is io.ErrUnexpectedEOF. A frame that does
// not hold what its id says is a *BadFrame. After an error that is not r's own,
// the rest of the upload is read and dropped, so that the sender gets to hear it.
func Receive(ctx context.Context, r io.Reader, sink func(*Slab) error) error {
	rc := &receiver{r: r, work: make(chan *Slab, slabs), order: make(chan *Slab, slabs), free: make(chan struct{}, slabs)}
	var g errgroup.Group
	g.Go(func() error { rc.read(ctx); return nil })
	for range verifiers {
		g.Go(func() error { rc.verify(); return nil })
	}
	err := rc.deliver(sink)
	_ = g.Wait() // nothing in it fails
	if err == nil {
		err = rc.err
	}
	return err
}

// receiver is one Receive: read fills slabs, verify checks them side by side,
// deliver hands them on in order.
type receiver struct {
	r           io.Reader
	work, order chan *Slab
	free        chan struct{}
	stopped     atomic.Bool
	err         error // of read; set before order is closed
}

func (rc *receiver) read(ctx context.Context) {
	defer close(rc.order)
	defer close(rc.work)
	var total int64
	s := rc.take()
	for {
		n, next, err := rc.record(s)
		s = next
		total += n
		if err == nil && total > wire.PackMax {
			err = fmt.Errorf("%w: an upload of more than %d MiB of frames", wire.ErrInvalid, wire.PackMax>>20)
			s.dropLast()
		}
		if err == nil && ctx.Err() != nil {
			err = ctx.Err()
		}
		if err == nil && !rc.stopped.Load() {
			continue
		}
		rc.pass(s)
		if err == nil || errors.Is(err, wire.ErrInvalid) {
			_, _ = io.Copy(io.Discard, io.LimitReader(rc.r, wire.PackMax)) // to be heard, not to be kept
		}
		if !errors.Is(err, io.EOF) {
			rc.err = err
		}
		return
	}
}

// record reads one more record into s, or into a new slab when s is full.
func (rc *receiver) record(s *Slab) (frame int64, next *Slab, err error) {
	var head [wire.HeadSize]byte
	if _, err := io.ReadFull(rc.r, head[:]); err != nil {
		return 0, s, err
	}
	n := int(binary.BigEndian.Uint32(head[33:]))
	if head[0] != wire.FrameOK || n > chunk.MaxFrame {
		return 0, s, fmt.Errorf("%w: an upload holds frames of at most %d bytes; got status %d, %d bytes",
			wire.ErrInvalid, chunk.MaxFrame, head[0], n)
	}
	if len(s.Records)+RecordHead+n > slabCap {
		rc.pass(s)
		s = rc.take()
	}
	start := len(s.Records)
	e := Entry{ID: chunk.ID(head[1:33]), Offset: uint32(start), Length: uint32(n)}
	if _, err := io.ReadFull(rc.r, s.Records[start+RecordHead:start+RecordHead+n]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, s, err
	}
	s.Records = s.Records[:start+RecordHead+n]
	s.Entries = append(s.Entries, e)
	if len(s.Records) >= slabFull {
		rc.pass(s)
		s = rc.take()
	}
	return int64(n), s, nil
}

func (s *Slab) dropLast() {
	if n := len(s.Entries); n > 0 {
		s.truncate(n - 1)
	}
}

func (s *Slab) truncate(n int) {
	s.Records = s.Records[:s.Entries[n].Offset]
	s.Entries = s.Entries[:n]
}

// take waits until one of this call's slabs is free.
func (rc *receiver) take() *Slab {
	rc.free <- struct{}{}
	s := slabPool.Get().(*Slab)
	s.Records, s.Entries, s.err = s.Records[:0], s.Entries[:0], nil
	return s
}

func (rc *receiver) pass(s *Slab) {
	rc.order <- s
	rc.work <- s
}

func (rc *receiver) verify() {
	for s := range rc.work {
		buf := plainPool.Get().(*[]byte)
		s.verify((*buf)[:0])
		plainPool.Put(buf)
		s.done <- struct{}{}
	}
}

// verify decodes every frame, fills in the records' heads, and cuts the slab at the first bad one.
func (s *Slab) verify(buf []byte) {
	for i := range s.Entries {
		e := &s.Entries[i]
		record := s.Records[e.Offset:e.end()]
		plain, err := chunk.Decode(buf, record[RecordHead:], e.ID)
		if err != nil {
			s.err = &BadFrame{e.ID, err}
			s.truncate(i)
			return
		}
		e.Plain = uint32(len(plain))
		putRecordHead(record, &e.ID, len(plain))
	}
}

func (rc *receiver) deliver(sink func(*Slab) error) (err error) {
	for s := range rc.order {
		<-s.done
		if err == nil && len(s.Entries) > 0 {
			err = sink(s)
		}
		if err == nil {
			err = s.err
		}
		if err != nil {
			rc.stopped.Store(true)
		}
		slabPool.Put(s)
		<-rc.free
	}
	return err
}
