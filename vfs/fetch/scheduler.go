// Package fetch brings chunks in the order in which they matter: what somebody
// waits for first, on a source of its own, then read-ahead, then the background.
//
// A demand never joins a background fetch: it asks again on its own connection,
// and whichever answer comes first is used. That wastes at most the chunks that
// both had under way, and spares the demand everything queued before its chunk.
// Demands for one chunk are one fetch.
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
	// Demand and Bulk are sources with connections of their own.
	Demand, Bulk chunk.Source
	// Near, if set, is what this disk holds itself. It is asked before Demand where trees and lists are read, and before
	// Bulk; what it answers says nothing about whether these do.
	Near chunk.Source
	// Deadline is how long a demand is retried while the source is out of reach; default 30 s.
	Deadline time.Duration
	// Known is how long a demand waits once the source is known to be offline; default 2 s.
	Known time.Duration
}

// Scheduler is safe for concurrent use.
type Scheduler struct {
	o Options

	mu      sync.Mutex
	flights map[chunk.ID]*flight
	waiting int
	// quiet is closed and replaced when waiting falls to 0.
	quiet chan struct{}
	// down is since when the demand source has not answered; zero while it does.
	down  time.Time
	cause error
	// heard is when it last did.
	heard time.Time
}

type flight struct {
	done  chan struct{}
	plain []byte
	err   error
}

// New returns a Scheduler.
func New(o Options) *Scheduler {
	if o.Deadline == 0 {
		o.Deadline = 30 * time.Second
	}
	if o.Known == 0 {
		o.Known = 2 * time.Second
	}
	return &Scheduler{o: o, flights: map[chunk.ID]*flight{}, quiet: make(chan struct{})}
}

// Demand fetches a chunk that somebody waits for. The bytes are shared: do not change them.
func (s *Scheduler) Demand(ctx context.Context, id chunk.ID) ([]byte, error) {
	s.enter()
	defer s.leave()
	for {
		f, leader := s.join(id)
		if leader {
			f.plain, f.err = s.retry(ctx, id)
			s.finish(id, f)
			return f.plain, f.err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
			return f.plain, f.err
		}
	}
}

func (s *Scheduler) join(id chunk.ID) (f *flight, leader bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f = s.flights[id]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	s.flights[id] = f
	return f, true
}

func (s *Scheduler) finish(id chunk.ID, f *flight) {
	s.mu.Lock()
	delete(s.flights, id)
	s.mu.Unlock()
	close(f.done)
}

func (s *Scheduler) enter() {
	s.mu.Lock()
	s.waiting++
	s.mu.Unlock()
}

func (s *Scheduler) leave() {
	s.mu.Lock()
	if s.waiting--; s.waiting == 0 {
		close(s.quiet)
		s.quiet = make(chan struct{})
	}
	s.mu.Unlock()
}

// retry asks the demand source until it answers or the deadline is over.
func (s *Scheduler) retry(ctx context.Context, id chunk.ID) ([]byte, error) {
	deadline := time.Now().Add(s.patience())
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
	answered := err == nil || errors.Is(err, chunk.ErrNotFound) || errors.Is(err, chunk.ErrDamaged) || !passing(err)
	s.note(asked, answered, err)
	return plain, err
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

// Quiet returns when no demand is under way.
func (s *Scheduler) Quiet(ctx context.Context) error {
	for {
		s.mu.Lock()
		n, quiet := s.waiting, s.quiet
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
	return b.s.o.Bulk.Fetch(ctx, ids, func(i int, plain []byte, err error) error {
		if err == nil {
			b.s.note(time.Now(), true, nil)
		}
		return got(i, plain, err)
	})
}
