package vfstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
)

// Fault is what becomes of a chunk on its way.
type Fault int

// The faults.
const (
	// Whole brings the chunk as it is.
	Whole Fault = iota
	// Damaged has the chunk not match its id, Lost not be found.
	Damaged
	Lost
	// Cut breaks the link within the chunk.
	Cut
	// Dead answers nothing, until the caller gives up.
	Dead
	// Short brings fewer bytes than the chunk has, and says nothing.
	Short
)

// ErrLink is what a cut link says.
var ErrLink = errors.New("the link was cut")

// Source is a source of chunks that does what the test wants. It is safe for concurrent use.
type Source struct {
	chunks chunk.Map
	// Fetched counts chunks that were brought, Requests calls of Fetch.
	Fetched, Requests atomic.Int64

	mu     sync.Mutex
	times  map[chunk.ID]int
	all    Fault
	faults map[chunk.ID]Fault
	delay  time.Duration
}

// NewSource returns a source of the chunks in m.
func NewSource(m chunk.Map) *Source {
	return &Source{chunks: m, times: map[chunk.ID]int{}, faults: map[chunk.ID]Fault{}}
}

// Set makes f the fate of all chunks but those that have their own.
func (s *Source) Set(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = f
}

// SetFor makes f the fate of one chunk.
func (s *Source) SetFor(id chunk.ID, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[id] = f
}

// Delay delays each request by d.
func (s *Source) Delay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// Times is how often each chunk was brought.
func (s *Source) Times() map[chunk.ID]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.times)
}

func (s *Source) count(id chunk.ID) {
	s.Fetched.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times[id]++
}

func (s *Source) fate(id chunk.ID) (Fault, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.faults[id]; ok {
		return f, s.delay
	}
	return s.all, s.delay
}

// Fetch implements chunk.Source.
func (s *Source) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	s.Requests.Add(1)
	for i, id := range ids {
		f, delay := s.fate(id)
		if delay > 0 && i == 0 {
			select {
			case <-time.After(delay):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		plain, err := s.bring(ctx, id, f)
		if errors.Is(err, ErrLink) || ctx.Err() != nil {
			return err
		}
		if err := got(i, plain, err); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) bring(ctx context.Context, id chunk.ID, f Fault) ([]byte, error) {
	plain, ok := s.chunks[id]
	switch {
	case f == Dead:
		<-ctx.Done()
		return nil, ctx.Err()
	case f == Cut:
		return nil, fmt.Errorf("chunk %s: %w", id, ErrLink)
	case f == Lost || !ok:
		return nil, fmt.Errorf("chunk %s: %w", id, chunk.ErrNotFound)
	case f == Damaged:
		return nil, fmt.Errorf("chunk %s: %w", id, chunk.ErrDamaged)
	case f == Short:
		return plain[:len(plain)/2], nil
	}
	s.count(id)
	return plain, nil
}
