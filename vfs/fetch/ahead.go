package fetch

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
)

// Allowance is leave for one request ahead of demand: for Fetch, or given back with End.
type Allowance struct {
	s *Scheduler
	// Bytes is about how much the request should ask for.
	Bytes uint64
	full  bool
}

// Allow waits until more may be under way ahead of demand: as much as the line
// holds is. It fails where the source is known to be out of reach.
func (s *Scheduler) Allow(ctx context.Context) (*Allowance, error) {
	for {
		if err := s.Offline(); err != nil {
			return nil, err
		}
		a, room := s.allow()
		if a != nil {
			return a, nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Scheduler) allow() (*Allowance, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.line.limit()
	part := limit / parts
	stale := s.line.stale(time.Now())
	if s.probe != nil || s.used > 0 && (stale || s.used+part/2 > limit || s.sweeping >= parts) {
		return nil, s.room
	}
	s.used += part
	a := &Allowance{s: s, Bytes: part, full: s.used >= limit/2}
	if stale {
		s.probe = a
	}
	return a, nil
}

// Little is leave at once, for a chunk that is small and that another request has
// to wait for.
func (s *Scheduler) Little() *Allowance { return &Allowance{s: s} }

// Holds is how many bytes may be under way: about what the line holds.
func (s *Scheduler) Holds() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.line.limit()
}

// End gives the allowance back.
func (a *Allowance) End() {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.resizeLocked(0)
	a.probedLocked()
}

// resizeLocked has the allowance be for so many bytes.
func (a *Allowance) resizeLocked(n uint64) {
	a.s.used += n - a.Bytes
	a.Bytes = n
	a.s.roomLocked()
}

// probedLocked ends a measurement of the delay, and says whether this was one.
func (a *Allowance) probedLocked() bool {
	if a.s.probe != a {
		return false
	}
	a.s.probe = nil
	a.s.roomLocked()
	return true
}

// roomLocked has whoever waits for leave look again.
func (s *Scheduler) roomLocked() {
	close(s.room)
	s.room = make(chan struct{})
}

// request is one request ahead: for each id, its flight until it has ended, and
// which wants it is for.
type request struct {
	a         *Allowance
	ids       []chunk.ID
	asked     []*flight
	of        [][]int
	elsewhere []other
	began     time.Time
	timer     *time.Timer
	// delivered is what the line had brought when it began.
	delivered uint64

	// bytes are in it, of which arrived need not be waited for any more. Guarded by Scheduler.mu.
	bytes, arrived uint64
	answered       bool
}

// other is a want whose chunk somebody else is fetching.
type other struct {
	want int
	f    *flight
}

// Fetch brings chunks that somebody will want soon, in one request for all that
// nobody else is fetching. Nothing is tried twice: a demand that misses a chunk
// asks for it. A request that stays silent is given up. It returns an error for
// each want.
func (a *Allowance) Fetch(ctx context.Context, wants []Want) []error {
	s := a.s
	errs := make([]error, len(wants))
	r := s.begin(a, wants)
	if len(r.ids) > 0 {
		r.run(ctx, wants, errs)
	}
	s.end(r)
	a.End()
	for _, o := range r.elsewhere {
		errs[o.want] = s.other(ctx, o.f, &wants[o.want])
	}
	return errs
}

// other waits for a chunk that somebody else is fetching.
func (s *Scheduler) other(ctx context.Context, f *flight, w *Want) error {
	err := s.await(ctx, f)
	if err == nil {
		err = f.err
	}
	if !w.absent() { // whoever fetched it has kept it
		return nil
	}
	if err != nil {
		return err
	}
	return w.keep(f.plain)
}

// begin registers flights for all that nobody else is fetching.
func (s *Scheduler) begin(a *Allowance, wants []Want) *request {
	r := &request{a: a, began: time.Now()}
	s.mu.Lock()
	at := map[chunk.ID]int{}
	for i := range wants {
		w := &wants[i]
		if k, known := at[w.ID]; known {
			r.of[k] = append(r.of[k], i)
			continue
		}
		if f := s.flights[w.ID]; f != nil {
			f.joined = true
			r.elsewhere = append(r.elsewhere, other{i, f})
			continue
		}
		f := &flight{done: make(chan struct{}), of: r, before: r.bytes, size: w.Size}
		s.flights[w.ID] = f
		r.bytes += w.Size
		at[w.ID] = len(r.ids)
		r.ids, r.asked, r.of = append(r.ids, w.ID), append(r.asked, f), append(r.of, []int{i})
	}
	s.sweeping++
	a.resizeLocked(r.bytes)
	r.delivered = s.line.delivered
	s.mu.Unlock()
	s.dropPresent(r, wants)
	return r
}

// dropPresent takes out what came in the moment before its flight was registered.
func (s *Scheduler) dropPresent(r *request, wants []Want) {
	k := 0
	for i, id := range r.ids {
		if slices.ContainsFunc(r.of[i], func(want int) bool { return wants[want].absent() }) {
			r.ids[k], r.asked[k], r.of[k] = id, r.asked[i], r.of[i]
			k++
			continue
		}
		s.mu.Lock()
		r.arrived += r.asked[i].size
		r.asked[i].err = errPassed
		s.finishLocked(id, r.asked[i])
		s.mu.Unlock()
	}
	r.ids, r.asked, r.of = r.ids[:k], r.asked[:k], r.of[:k]
}

func (r *request) run(ctx context.Context, wants []Want, errs []error) {
	s := r.a.s
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.timer = time.AfterFunc(s.silence(r), cancel)
	defer r.timer.Stop()
	failed := s.o.Ahead.Fetch(ctx, r.ids, func(k int, plain []byte, err error) error {
		for _, i := range r.of[k] {
			if errs[i] = err; err == nil {
				errs[i] = wants[i].keep(plain)
			}
		}
		s.arrived(r, k, plain, err)
		return nil
	})
	if failed == nil {
		failed = errPassed
	}
	for k, f := range r.asked {
		if f == nil {
			continue
		}
		for _, i := range r.of[k] {
			errs[i] = failed
		}
		f.err = errPassed
		s.finish(r.ids[k], f)
	}
}

// arrived ends the flight of one chunk, which is kept.
func (s *Scheduler) arrived(r *request, k int, plain []byte, err error) {
	now := time.Now()
	if err == nil {
		s.note(now, true, nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := r.asked[k]
	r.asked[k] = nil
	if !r.answered {
		r.answered = true
		s.line.began(now.Sub(r.began), r.a.probedLocked(), now)
	}
	r.arrived += f.size
	s.line.delivered += f.size
	r.a.resizeLocked(r.a.Bytes - min(f.size, r.a.Bytes))
	r.timer.Reset(s.silenceLocked(r))
	if err != nil {
		f.err = errPassed
	} else if f.joined {
		f.plain = bytes.Clone(plain)
	}
	s.finishLocked(r.ids[k], f)
}

// end notes what a request said about the line.
func (s *Scheduler) end(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.answered {
		s.line.ended(s.line.delivered-r.delivered, time.Since(r.began), r.a.full)
	}
	s.sweeping--
	s.calmLocked()
}

// slowest is the rate, in bytes a second, of a line of which nothing is known.
const slowest = 32 << 10

// timeFor is how long so many bytes of one request may take. Called under mu.
func (s *Scheduler) timeFor(n uint64) time.Duration {
	rate := max(s.line.rate()/float64(max(s.sweeping, 1)), slowest)
	return time.Duration(float64(n) / rate * float64(time.Second))
}

// soonLocked says that a chunk comes about as soon as if it were asked for by itself:
// little is before it, or what is waited for together with it.
func (s *Scheduler) soonLocked(f *flight, with uint64) bool {
	before := f.before - min(f.before, f.of.arrived)
	return before <= max(f.size, with, floor/4) || s.line.rate() > 0 && s.timeFor(before) <= s.line.delay
}

// within is how long whoever joined a request ahead waits before asking for himself.
func (s *Scheduler) within(f *flight) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := f.before + f.size - min(f.before, f.of.arrived)
	return s.o.Known/2 + 2*s.line.delay + 2*s.timeFor(left)
}

// silence is after what time without a chunk a request is given up.
func (s *Scheduler) silence(r *request) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silenceLocked(r)
}

func (s *Scheduler) silenceLocked(r *request) time.Duration {
	return s.o.Known + 4*s.line.delay + 4*s.timeFor(min(r.bytes-r.arrived, chunk.MaxSize))
}
