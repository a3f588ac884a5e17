package server

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/looming-project/looming/prefetch"
	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/session"
	"github.com/looming-project/looming/vfs/wire"
)

// maxTally bounds a tally, in bytes.
const maxTally = 16 << 20

// tally answers with what all devices learnt about a desktop.
func (s *Server) tally(w http.ResponseWriter, r *http.Request, d postgres.Device) error {
	b, err := within(s.content, r, session.Tallies, d.ID, func() ([]byte, error) {
		own, guests := &prefetch.Tally{}, &prefetch.Tally{}
		err := s.db.EachTally(r.Context(), d.ID, r.PathValue("cvd"), func(t postgres.Tally) {
			if t.Own {
				own.Merge(s.learnt(t.Encoded))
			} else {
				guests.Merge(s.learnt(t.Encoded))
			}
		})
		own.Admit(guests)
		return own.Encode(), err
	})
	if err != nil {
		return err
	}
	return binary(w, b)
}

// addTally adds what a device learnt since it said so last.
func (s *Server) addTally(w http.ResponseWriter, r *http.Request, d postgres.Device) error {
	if _, err := s.db.CVDFor(r.Context(), d.ID, r.PathValue("cvd")); err != nil {
		return err // before the body is taken
	}
	_, err := within(s.content, r, session.Tallies, d.ID, func() (none struct{}, err error) {
		b, err := readAll(w, r, maxTally)
		if err != nil {
			return none, err
		}
		fresh, err := prefetch.Decode(b)
		if err != nil {
			return none, fmt.Errorf("%w: %w", wire.ErrInvalid, err)
		}
		fresh.Prune(time.Now())
		return none, s.db.AddTally(r.Context(), d.ID, r.PathValue("cvd"), func(had []byte) []byte {
			sum := s.learnt(had)
			sum.Merge(fresh)
			return sum.Encode()
		})
	})
	if err != nil {
		return err
	}
	return done(w)
}

// learnt is a stored tally without what lies in the future; one that cannot be read is empty, and learnt again.
func (s *Server) learnt(b []byte) *prefetch.Tally {
	if len(b) == 0 {
		return &prefetch.Tally{}
	}
	t, err := prefetch.Decode(b)
	if err != nil {
		s.log.Warn("a stored tally cannot be read, and is learnt again", "err", err)
		return &prefetch.Tally{}
	}
	t.Prune(time.Now())
	return t
}

func binary(w http.ResponseWriter, b []byte) error {
	w.Header().Set("Content-Type", wire.TypeBinary)
	_, _ = w.Write(b) // the client is gone if this fails
	return nil
}

// popular keeps what owners have in common, for a while. It is one thing for who has a tally among those that it was made of,
// and another for all others: whoever asks is told only what enough others know.
type popular struct {
	mu             sync.Mutex // guards the rest
	at             time.Time
	owners         map[int64]bool
	inside, others []byte // for an owner, and for anybody else
}

// popularFor is how long it is kept.
const popularFor = 10 * time.Minute

// popularity answers with what several owners use, whatever their desktops.
func (s *Server) popularity(w http.ResponseWriter, r *http.Request, d postgres.Device) error {
	b := s.popular.kept(d.ID)
	if b == nil {
		var err error
		if b, err = within(s.content, r, session.Tallies, d.ID, func() ([]byte, error) { return s.common(r.Context(), d.ID) }); err != nil {
			return err
		}
	}
	return binary(w, b)
}

// kept is what was worked out lately, for a device; nil if that is too long ago.
func (p *popular) kept(device int64) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case time.Since(p.at) >= popularFor:
		return nil
	case p.owners[device]:
		return p.inside
	}
	return p.others
}

// common finds out what owners have in common. Some may do so at the same time, as many as there are places.
func (s *Server) common(ctx context.Context, device int64) ([]byte, error) {
	if b := s.popular.kept(device); b != nil {
		return b, nil // another has, while this one waited for a place
	}
	known, owners := prefetch.NewPopularity(), map[int64]bool{}
	err := s.db.EachOwnTally(ctx, func(t postgres.Tally) {
		owners[t.Device] = true
		known.Count(s.learnt(t.Encoded))
	})
	if err != nil {
		return nil, err
	}
	inside, others := &prefetch.Tally{}, &prefetch.Tally{}
	err = s.db.EachOwnTally(ctx, func(t postgres.Tally) {
		learnt := s.learnt(t.Encoded)
		inside.Merge(known.Common(learnt, prefetch.PopularMin+1)) // of which the owner itself may be one
		others.Merge(known.Common(learnt, prefetch.PopularMin))
	})
	if err != nil {
		return nil, err
	}
	s.popular.keep(owners, inside.Encode(), others.Encode())
	return s.popular.kept(device), nil
}

func (p *popular) keep(owners map[int64]bool, inside, others []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.owners, p.inside, p.others = time.Now(), owners, inside, others
}
