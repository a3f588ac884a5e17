package session

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// placeTime is how long a request waits for a place. Whether its client has left meanwhile nobody can tell as long as
// its body is not read.
const placeTime = 30 * time.Second

// Shares of one device.
const (
	uploadShare = 3
	windowShare = 4
	// slowShare is of what is sent slowly: for each connection of an endpoint's class a window that is sent and one that
	// is read, so that no answer falls silent because of another.
	slowShare = 8
)

// slowPlaces is how many times as many places there are for what is sent slowly, each for a part as much.
const slowPlaces = 4

// Kind is a kind of request whose whole body is taken into memory.
type Kind int

// Kinds of requests.
const (
	Asks   Kind = iota // of what the server has
	Proofs             // of what the device has
	Commits
	Tallies // what devices learnt, and what they are told of it
	kinds
)

// kindPlaces says how many of a kind are taken at once, and of one device. A commit may have 16 MiB and walks a tree; a
// tally may have 16 MiB, and some times as many where it is decoded.
var kindPlaces = [kinds]struct{ all, share int }{{8, 3}, {8, 3}, {2, 1}, {2, 1}}

// Enter waits for a place for a request of a kind; if none is free in time that is wire.ErrUnavailable. To be
// called before the body is read, and left before the answer is written.
func (s *Service) Enter(ctx context.Context, kind Kind, device int64) (leave func(), err error) {
	return s.kinds[kind].enterSoon(ctx, device, placeTime)
}

// places are what requests of a kind share: so many at once, and of those only a share for each device, so that none
// takes them all. Who waits for the own share takes no place.
type places struct {
	all   chan struct{}
	share int

	mu sync.Mutex
	of map[int64]*deviceShare
}

// deviceShare is of a device that has places, or waits for one.
type deviceShare struct {
	taken chan struct{}
	users int
}

func newPlaces(n, share int) *places {
	return &places{all: make(chan struct{}, n), share: min(n, share), of: map[int64]*deviceShare{}}
}

// enter waits for a place until ctx ends.
func (p *places) enter(ctx context.Context, device int64) (leave func(), err error) {
	s := p.use(device)
	select {
	case s.taken <- struct{}{}:
	case <-ctx.Done():
		p.drop(device, s)
		return nil, ctx.Err()
	}
	select {
	case p.all <- struct{}{}:
		return func() { <-p.all; <-s.taken; p.drop(device, s) }, nil
	case <-ctx.Done():
		<-s.taken
		p.drop(device, s)
		return nil, ctx.Err()
	}
}

// enterSoon waits for a place for placeTime; then the client should ask again.
func (p *places) enterSoon(ctx context.Context, device int64, patience time.Duration) (leave func(), err error) {
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	leave, err = p.enter(soon, device)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: the server is busy with other requests", wire.ErrUnavailable)
	}
	return leave, err
}

func (p *places) use(device int64) *deviceShare {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of[device]
	if s == nil {
		s = &deviceShare{taken: make(chan struct{}, p.share)}
		p.of[device] = s
	}
	s.users++
	return s
}

func (p *places) drop(device int64, s *deviceShare) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(p.of, device)
	}
}
