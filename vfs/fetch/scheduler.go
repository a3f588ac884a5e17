// Package fetch brings chunks in the order in which they matter: what somebody
// waits for first, then what he will want next, then the background, each on a
// source of its own.
//
// # Who joins whom
//
// Demands for one chunk are one fetch. So are a demand and a fetch ahead: reading
// ahead follows a demand closely, and paying twice would cost what it is to save.
// But a fetch ahead is one request for many chunks, and a demand must not wait for
// what lies in front of its own: it waits where the line brings that within about
// one round trip, and where the request is not silent for too long. Else it asks
// for itself, on its own connection, and the chunk is the demand's from then on.
//
// A demand never joins the background. When the background's answer will come is
// not known: its requests are larger, it gives way, and the line may stand. A
// demand that waits there for one round trip and then asks for itself waits two,
// and one in a hundred may not wait a quarter longer. What is paid twice is at
// most what both have under way: the background gives way before each request, so
// that is one request's worth for a demand that falls into it, and nothing else.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
)

// ErrOffline says that no source answered until the deadline. It wraps the last error.
var ErrOffline = errors.New("the source of this file is out of reach")

// Options of a Scheduler. The zero value of each field but the sources works.
type Options struct {
	// Demand, Ahead and Bulk are sources with connections of their own. Ahead is Demand where it is nil.
	Demand, Ahead, Bulk chunk.Source
	// Near, if set, is what this disk holds itself. It is asked before Demand where trees and lists are read, and before
	// Ahead and Bulk; what it answers says nothing about whether these do.
	Near chunk.Source
	// Deadline is how long a demand is retried while the source is out of reach; default 30 s.
	Deadline time.Duration
	// Known is how long a demand waits once the source is known to be offline; default 2 s.
	Known time.Duration
}

// Want is a chunk that somebody wants, and what is to become of it.
type Want struct {
	ID chunk.ID
	// Size is about how many bytes it has.
	Size uint64
	// With is how many bytes somebody waits for together, this chunk's among them.
	With uint64
	// Absent, if set, says whether it is still wanted. It is asked when nobody else
	// is fetching the chunk any more: whoever was has kept it before.
	Absent func() bool
	// Keep gets the bytes, which are valid until it returns. Its error is the fetch's.
	Keep func(plain []byte) error
}

func (w *Want) keep(plain []byte) error {
	if w.Keep == nil {
		return nil
	}
	return w.Keep(plain)
}

func (w *Want) absent() bool { return w.Absent == nil || w.Absent() }

// Scheduler is safe for concurrent use.
type Scheduler struct {
	o Options

	mu      sync.Mutex
	flights map[chunk.ID]*flight
	// waiting is how many demands are under way, sweeping how many requests ahead.
	waiting, sweeping int
	// quiet is closed and replaced when both fall to 0.
	quiet chan struct{}
	// used is how many bytes may be under way ahead, by what was allowed; room is
	// closed and replaced when it falls.
	used uint64
	room chan struct{}
	line line
	// probe is what goes alone, so that the line's delay can be measured.
	probe *Allowance
	// down is since when the demand source has not answered; zero while it does.
	down  time.Time
	cause error
	// heard is when it last did.
	heard time.Time
}

// flight is a chunk under way. It is kept where it belongs before done is closed.
type flight struct {
	done  chan struct{}
	plain []byte
	err   error

	// of is the request ahead that it is a part of, nil for a demand; before is how
	// many bytes of it come first. joined says that somebody waits for the bytes.
	of     *request
	before uint64
	size   uint64
	joined bool
}

// New returns a Scheduler.
func New(o Options) *Scheduler {
	if o.Deadline == 0 {
		o.Deadline = 30 * time.Second
	}
	if o.Known == 0 {
		o.Known = 2 * time.Second
	}
	if o.Ahead == nil {
		o.Ahead = o.Demand
	}
	o.Ahead = chunk.First(o.Near, o.Ahead)
	return &Scheduler{o: o, flights: map[chunk.ID]*flight{}, quiet: make(chan struct{}), room: make(chan struct{})}
}

// Demand fetches a chunk that somebody waits for. The bytes are shared: do not change them.
func (s *Scheduler) Demand(ctx context.Context, id chunk.ID) ([]byte, error) {
	return s.demand(ctx, &Want{ID: id})
}

// Bring is Demand for a chunk that is kept.
func (s *Scheduler) Bring(ctx context.Context, w Want) error {
	_, err := s.demand(ctx, &w)
	return err
}

func (s *Scheduler) demand(ctx context.Context, w *Want) ([]byte, error) {
	s.enter()
	defer s.leave()
	deadline := time.Now().Add(s.patience())
	for alone := false; ; {
		f, leader := s.join(w, alone)
		if leader {
			return s.lead(ctx, w, f, deadline)
		}
		switch err := s.await(ctx, f); {
		case errors.Is(err, errSilent):
			alone = true
		case err != nil:
			return nil, err
		case f.err == nil:
			return f.plain, w.keep(f.plain)
		case !f.askAgain():
			return nil, f.err
		}
	}
}

// lead fetches for everybody who waits for the chunk.
func (s *Scheduler) lead(ctx context.Context, w *Want, f *flight, deadline time.Time) (plain []byte, err error) {
	defer s.finish(w.ID, f)
	if !w.absent() {
		f.err = errPassed
		return nil, nil
	}
	if f.plain, f.err = s.retry(ctx, w.ID, deadline); f.err != nil {
		return nil, f.err
	}
	return f.plain, w.keep(f.plain)
}

// errPassed has whoever joined a flight ask for himself.
var errPassed = errors.New("a request for others did not bring it")

// askAgain says that an error is only of whoever was asking.
func (f *flight) askAgain() bool {
	return errors.Is(f.err, errPassed) || errors.Is(f.err, context.Canceled) || errors.Is(f.err, context.DeadlineExceeded)
}

// join returns the flight of a chunk, with leader set if it is the caller's to
// fetch; alone says that the caller waits for no request ahead any more.
func (s *Scheduler) join(w *Want, alone bool) (f *flight, leader bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f = s.flights[w.ID]; f != nil && (f.of == nil || !alone && s.soonLocked(f, w.With)) {
		f.joined = true
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	s.flights[w.ID] = f
	return f, true
}

// errSilent says that what was joined does not come.
var errSilent = errors.New("no answer to a request ahead")

// await returns when a flight has ended, or is not to be waited for.
func (s *Scheduler) await(ctx context.Context, f *flight) error {
	var silent <-chan time.Time
	if f.of != nil {
		t := time.NewTimer(s.within(f))
		defer t.Stop()
		silent = t.C
	}
	select {
	case <-f.done:
		return nil
	case <-silent:
		return errSilent
	case <-ctx.Done():
		return ctx.Err()
	}
}

// finish ends a flight. One that was taken over is not in the table any more.
func (s *Scheduler) finish(id chunk.ID, f *flight) {
	s.mu.Lock()
	s.finishLocked(id, f)
	s.mu.Unlock()
}

func (s *Scheduler) finishLocked(id chunk.ID, f *flight) {
	if s.flights[id] == f {
		delete(s.flights, id)
	}
	close(f.done)
}

func (s *Scheduler) enter() {
	s.mu.Lock()
	s.waiting++
	s.mu.Unlock()
}

func (s *Scheduler) leave() {
	s.mu.Lock()
	s.waiting--
	s.calmLocked()
	s.mu.Unlock()
}

// calmLocked tells whoever waits for quiet.
func (s *Scheduler) calmLocked() {
	if s.waiting+s.sweeping == 0 {
		close(s.quiet)
		s.quiet = make(chan struct{})
	}
}

// retry asks the demand source until it answers or the deadline is over.
func (s *Scheduler) retry(ctx context.Context, id chunk.ID, deadline time.Time) ([]byte, error) {
	damaged := false
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		plain, err := s.once(ctx, id, deadline)
		switch {
		case err == nil, errors.Is(err, chunk.ErrNotFound), ctx.Err() != nil:
			return plain, err
		case errors.Is(err, chunk.ErrDamaged):
			if damaged {
				return nil, err
			}
			damaged = true
		case !passing(err):
			return nil, err
		}
		if time.Now().Add(pause).After(deadline) {
			return nil, fmt.Errorf("%w: %w", ErrOffline, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// patience is how long the source is asked for what somebody waits for.
func (s *Scheduler) patience() time.Duration {
	if s.Offline() != nil {
		return s.o.Known
	}
	return s.o.Deadline
}

// Final is what an error implements that asking again does not help.
type Final interface{ Final() bool }

func passing(err error) bool {
	var f Final
	return !errors.As(err, &f) || !f.Final()
}

func (s *Scheduler) once(ctx context.Context, id chunk.ID, deadline time.Time) ([]byte, error) {
	asked := time.Now()
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	plain, err := chunk.Get(limited, s.o.Demand, id)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && limited.Err() != nil {
		err = fmt.Errorf("no answer in time (%w)", errTimeout)
	}
	s.note(asked, answered(err), err)
	return plain, err
}

// answered says that a source answered, if only that it has not what was asked for.
func answered(err error) bool {
	return err == nil || errors.Is(err, chunk.ErrNotFound) || errors.Is(err, chunk.ErrDamaged) || !passing(err)
}

var errTimeout = errors.New("timeout")

// note keeps account of whether a source that was asked at a time answers.
func (s *Scheduler) note(asked time.Time, answered bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case answered:
		s.down, s.cause, s.heard = time.Time{}, nil, time.Now()
	case !s.down.IsZero():
		s.cause = err
	case !s.heard.After(asked):
		s.down, s.cause = asked, err
	}
}

// Offline returns why the source is taken to be out of reach, or nil: nothing
// was answered for as long as a demand waits.
func (s *Scheduler) Offline() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down.IsZero() || time.Since(s.down) < s.o.Deadline {
		return nil
	}
	return fmt.Errorf("%w since %s: %w", ErrOffline, s.down.Format(time.TimeOnly), s.cause)
}

// Waiting is the number of demands under way.
func (s *Scheduler) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// Quiet returns when no demand is under way, and nothing ahead of one.
func (s *Scheduler) Quiet(ctx context.Context) error {
	for {
		s.mu.Lock()
		n, quiet := s.waiting+s.sweeping, s.quiet
		s.mu.Unlock()
		if n == 0 {
			return ctx.Err()
		}
		select {
		case <-quiet:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Demanded is the demand side as a chunk.Source, for reading trees and lists.
func (s *Scheduler) Demanded() chunk.Source { return chunk.First(s.o.Near, demanded{s}) }

type demanded struct{ s *Scheduler }

func (d demanded) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	for i, id := range ids {
		plain, err := d.s.Demand(ctx, id)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := got(i, plain, err); err != nil {
			return err
		}
	}
	return nil
}

// Bulk is the background side. Its errors are the source's own: whoever works
// in the background decides itself when to come back.
func (s *Scheduler) Bulk() chunk.Source { return chunk.First(s.o.Near, bulk{s}) }

type bulk struct{ s *Scheduler }

func (b bulk) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	asked := time.Now()
	return b.s.o.Bulk.Fetch(ctx, ids, func(i int, plain []byte, err error) error {
		switch {
		case answered(err):
			b.s.note(time.Now(), true, nil)
		case ctx.Err() == nil: // who demands next need not find out again
			b.s.note(asked, false, err)
		}
		return got(i, plain, err)
	})
}
