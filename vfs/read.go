package vfs

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/vfs/backing"
	"golang.org/x/sync/errgroup"
)

// Bounds of a stream's window, in bytes.
const (
	streamMin = 256 << 10
	streamMax = 16 << 20
)

// bringMax is how many chunks one read fetches at once.
const bringMax = 16

// Ensure brings the bytes [off, off+length) of the file.
func (h *Handle) Ensure(ctx context.Context, off int64, length int) error {
	n := h.n
	if h.watched && length > 0 {
		h.f.used(n, Use{User: h.user, Off: off, N: length})
	}
	want := backing.Range{Start: uint64(off), End: uint64(off) + uint64(length)}
	n.mu.Lock()
	partly, size := n.file.state == ranged, n.file.mark.Size
	absent := h.absentLocked(want)
	n.mu.Unlock()
	if !partly {
		return nil
	}
	if len(absent) > 0 {
		if err := barred(ctx); err != nil {
			return fmt.Errorf("reading %q: %w", h.f.Path(n), err)
		}
	}
	h.goesOn(want, size)
	if len(absent) == 0 {
		return nil
	}
	absent, err := h.nearRanges(ctx, absent)
	if err != nil {
		return fmt.Errorf("reading %q: %w", h.f.Path(n), err)
	}
	if len(absent) == 0 {
		return nil
	}
	if err := h.bring(ctx, absent); err != nil {
		return fmt.Errorf("reading %q: %w", h.f.Path(n), err)
	}
	return nil
}

// absentLocked returns what of r must be fetched. Called under Node.mu.
func (h *Handle) absentLocked(r backing.Range) []backing.Range {
	c := h.n.file
	if c.state != ranged {
		return nil
	}
	r.End = min(r.End, c.mark.Size)
	if r.Start >= r.End {
		return nil
	}
	return c.part.Present.Absent(r)
}

// bring fetches what is absent and waits for it.
func (h *Handle) bring(ctx context.Context, absent []backing.Range) error {
	want := backing.Range{Start: absent[0].Start, End: absent[len(absent)-1].End}
	chunks, err := h.f.chunksIn(ctx, h.n, want, h.f.sched.Demanded())
	if err != nil {
		return err
	}
	start := time.Now()
	var bytes atomic.Uint64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(bringMax)
	for _, p := range chunks {
		if h.f.missing(h.n, p) {
			g.Go(func() error {
				bytes.Add(p.Len())
				w := h.f.wantRange(h.n, p)
				w.With = want.Len()
				return h.f.sched.Bring(ctx, w)
			})
		}
	}
	err = g.Wait()
	h.f.waited(h.n, bytes.Load(), start)
	return err
}

// stream is how a file is read through one handle.
type stream struct {
	f    *FS
	n    *Node
	size uint64

	mu sync.Mutex
	// next is where a reader goes on who reads from one end to the other, run how
	// much he has read so, at up to where was asked for.
	next, run, at uint64
}

// goesOn notes a read of a file that is not all here, and has what comes next
// brought if the reader goes on where he was.
func (h *Handle) goesOn(want backing.Range, size uint64) {
	h.mu.Lock()
	if h.lead == nil {
		h.f.hold(h.n)
		h.stream = &stream{f: h.f, n: h.n, size: size}
		h.lead = &lead{course: h.stream}
	}
	s, l := h.stream, h.lead
	h.mu.Unlock()
	if s.note(want) {
		h.f.ahead.kick(l)
	}
}

// jitter is how far from its place a large read may come that the kernel sends
// beside others.
const (
	jitter = 2 << 20
	large  = 64 << 10
)

// note says whether a read goes on where the ones before have ended. Reading the
// start of a file is taken for it.
func (s *stream) note(want backing.Range) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch near := want.Len() >= large && s.run > 0; {
	case want.Start <= s.next && want.End >= s.next, near && want.Start > s.next && want.Start <= s.next+jitter:
		s.run += want.End - s.next
		s.next = want.End
	case near && want.End < s.next && want.End+jitter >= s.next:
	default:
		s.next, s.run, s.at = want.End, 0, 0
	}
	return s.run > 0
}

// window is what is to be ahead of the reader: as much again as he has read, and
// not more than twice what the line holds. Called under mu.
func (s *stream) windowLocked() uint64 {
	return min(max(s.run, streamMin), max(2*s.f.sched.Holds(), streamMin), streamMax)
}

// ready implements course: half of the window must be free, or more is asked for in
// pieces.
func (s *stream) ready(*lead) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := max(s.at, s.next)
	return s.run > 0 && at < s.size && at <= s.next+s.windowLocked()/2
}

// more implements course.
func (s *stream) more(ctx context.Context, _ *lead, bytes uint64) (steps []step) {
	s.mu.Lock()
	from, to := max(s.at, s.next), s.next+s.windowLocked()
	s.mu.Unlock()
	r := backing.Range{Start: from, End: min(to, from+max(bytes, 1))}
	s.n.mu.Lock()
	partly := s.n.file.state == ranged
	s.n.mu.Unlock()
	if !partly || r.Start >= r.End {
		return nil
	}
	chunks, err := s.f.chunksIn(ctx, s.n, r, s.f.sched.Demanded())
	if err != nil {
		return nil
	}
	for _, p := range chunks {
		if p.Start >= from && s.f.missing(s.n, p) {
			s.f.hold(s.n)
			steps = append(steps, step{node: s.n, want: s.f.wantRange(s.n, p)})
		}
		r.End = p.End
	}
	s.mu.Lock()
	s.at = r.End
	s.mu.Unlock()
	return steps
}

// brought implements course.
func (s *stream) brought([]step, []error) {}

// close implements course.
func (s *stream) close() { s.f.Forget(s.n, 1) }
