package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/sis"
)

// Rebuilt is what Rebuild did.
type Rebuilt struct {
	Packs  int `json:"packs"`
	Chunks int `json:"chunks"` // that the index lacked
	// Broken are packs of which only a part could be read.
	Broken []string `json:"broken"`
	// Snapshots had their sets made again; Incomplete lack chunks that no pack has.
	Snapshots  int      `json:"snapshots"`
	Incomplete []string `json:"incomplete"`
}

// Rebuild makes the index again from the packs on all volumes, where the
// database lacks it, and then the sets of snapshots. Only records that are whole count. Nothing is
// removed. It is for after a loss in the database; other servers should be stopped.
func (s *Service) Rebuild(ctx context.Context) (*Rebuilt, error) {
	r := &Rebuilt{Broken: []string{}, Incomplete: []string{}}
	if err := s.db.BeginRebuild(ctx); err != nil {
		return r, err
	}
	for _, v := range s.volumes.list() {
		vol, err := s.volumes.get(ctx, v.ID)
		if err != nil {
			return r, err
		}
		err = vol.Each(func(name sis.PackName) error { return s.adopt(ctx, v.ID, vol, name, r) })
		if err != nil {
			return r, err
		}
	}
	s.where.forget()
	snaps, err := s.db.AllSnapshots(ctx)
	if err != nil {
		return r, err
	}
	for i := range snaps {
		if err := s.remake(ctx, &snaps[i], r); err != nil {
			return r, err
		}
	}
	s.sets.forget()
	return r, nil
}

// adopt enters the whole chunks of one pack.
func (s *Service) adopt(ctx context.Context, id int32, vol sis.Volume, name sis.PackName, r *Rebuilt) error {
	f, err := vol.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	entries, broken, err := wholeEntries(ctx, f, name)
	if err != nil {
		return err
	}
	if broken {
		r.Broken = append(r.Broken, name.String())
	}
	added, err := s.db.AdoptPack(ctx, id, name, size, entries)
	r.Packs++
	r.Chunks += added
	return err
}

func wholeEntries(ctx context.Context, f sis.PackReader, name sis.PackName) (entries []sis.Entry, broken bool, err error) {
	err = sis.Scan(f, name, func(e sis.Entry, damage error) error {
		if damage != nil {
			broken = true
			return ctx.Err()
		}
		if len(entries) < sis.MaxRecords {
			entries = append(entries, e)
		}
		return ctx.Err()
	})
	if errors.Is(err, sis.ErrPack) {
		return entries, true, nil
	}
	return entries, broken, err
}

// remake makes the set of a snapshot again.
func (s *Service) remake(ctx context.Context, snap *postgres.StoredSnapshot, r *Rebuilt) error {
	w := newWalk(s, snap.CVD, nil, everything{})
	if err := w.run(ctx, snap.Snap.Root); err != nil {
		return fmt.Errorf("snapshot %s: %w", snap.Snap.ID, err)
	}
	whole := len(w.missing) == 0
	if !whole {
		r.Incomplete = append(r.Incomplete, snap.Snap.ID.String())
	}
	serials, err := encodeSet(w.set)
	if err != nil {
		return err
	}
	r.Snapshots++
	return s.db.PutSerials(ctx, snap.Seq, w.stored, serials, whole)
}

// everything is what the server itself may read.
type everything struct{}

func (everything) has(uint64) bool { return true }
