package server

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/looming-project/looming/prefetch"
	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// maxTally bounds a tally, in bytes.
const maxTally = 16 << 20

// tally answers with what all devices learnt about a desktop.
func (s *Server) tally(w http.ResponseWriter, r *http.Request, d postgres.Device) error {
	all, err := s.db.Tallies(r.Context(), d.ID, r.PathValue("cvd"))
	if err != nil {
		return err
	}
	sum := &prefetch.Tally{}
	for _, t := range all {
		sum.Merge(s.learnt(t.Encoded))
	}
	return binary(w, sum.Encode())
}

// addTally adds what a device learnt since it said so last.
func (s *Server) addTally(w http.ResponseWriter, r *http.Request, d postgres.Device) error {
	b, err := readAll(w, r, maxTally)
	if err != nil {
		return err
	}
	err = s.db.AddTally(r.Context(), d.ID, r.PathValue("cvd"), func(had []byte) ([]byte, error) {
		fresh, err := prefetch.Decode(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", wire.ErrInvalid, err)
		}
		fresh.Prune(time.Now())
		sum := s.learnt(had)
		sum.Merge(fresh)
		return sum.Encode(), nil
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
	mu      sync.Mutex // held while it is worked out, so that this happens once
	encoded []byte
	at      time.Time
}

// popularFor is how long it is kept.
const popularFor = 10 * time.Minute

// popularity answers with what several devices use, whatever their desktops.
func (s *Server) popularity(w http.ResponseWriter, r *http.Request, _ postgres.Device) error {
	b, err := s.popular.get(r.Context(), s)
	if err != nil {
		return err
	}
	return binary(w, b)
}

func (p *popular) get(ctx context.Context, s *Server) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.encoded != nil && time.Since(p.at) < popularFor {
		return p.encoded, nil
	}
	all, err := s.db.LatestTallies(ctx)
	if err != nil {
		return nil, err
	}
	of := map[int64]*prefetch.Tally{}
	for _, t := range all {
		if of[t.Device] == nil {
			of[t.Device] = &prefetch.Tally{}
		}
		of[t.Device].Merge(s.learnt(t.Encoded))
	}
	p.encoded, p.at = prefetch.Popular(of).Encode(), time.Now()
	return p.encoded, nil
}
