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
		sum := &prefetch.Tally{}
		err := s.db.EachTally(r.Context(), d.ID, r.PathValue("cvd"), func(t postgres.Tally) { sum.Merge(s.learnt(t.Encoded)) })
		return sum.Encode(), err
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

// learnt is a stored tally; one that cannot be read is empty, and learnt again.
func (s *Server) learnt(b []byte) *prefetch.Tally {
	if len(b) == 0 {
		return &prefetch.Tally{}
	}
	t, err := prefetch.Decode(b)
	if err != nil {
		s.log.Warn("a stored tally cannot be read, and is learnt again", "err", err)
		return &prefetch.Tally{}
	}
	return t
}

func binary(w http.ResponseWriter, b []byte) error {
	w.Header().Set("Content-Type", wire.TypeBinary)
	_, _ = w.Write(b) // the client is gone if this fails
	return nil
}

// popular keeps what devices have in common, for a while: it is the same for all who ask.
type popular struct {
	mu      sync.Mutex // guards the rest
	encoded []byte
	at      time.Time
}

// popularFor is how long it is kept.
const popularFor = 10 * time.Minute

// popularity answers with what several devices use, whatever their desktops.
func (s *Server) popularity(w http.ResponseWriter, r *http.Request, d postgres.Device) error {
	b := s.popular.kept()
	if b == nil {
		var err error
		if b, err = within(s.content, r, session.Tallies, d.ID, func() ([]byte, error) { return s.common(r.Context()) }); err != nil {
			return err
		}
	}
	return binary(w, b)
}

// kept is what was worked out lately; nil if that is too long ago.
func (p *popular) kept() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) >= popularFor {
		return nil
	}
	return p.encoded
}

// common finds out what devices have in common. Some may do so at the same time, as many as there are places.
func (s *Server) common(ctx context.Context) ([]byte, error) {
	if b := s.popular.kept(); b != nil {
		return b, nil // another has, while this one waited for a place
	}
	of := map[int64]*prefetch.Tally{}
	err := s.db.EachLatestTally(ctx, func(t postgres.Tally) {
		if of[t.Device] == nil {
			of[t.Device] = &prefetch.Tally{}
		}
		of[t.Device].Merge(s.learnt(t.Encoded))
	})
	if err != nil {
		return nil, err
	}
	b := prefetch.Popular(of).Encode()
	s.popular.mu.Lock()
	defer s.popular.mu.Unlock()
	s.popular.encoded, s.popular.at = b, time.Now()
	return b, nil
}
