package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/looming-project/looming/server/internal/postgres"
)

// sweepEvery is how often Run looks for what uploads left behind.
const sweepEvery = time.Minute

// Run sweeps at once and then now and again, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.opts.Log.Warn("sweeping up after uploads failed, trying again later", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep closes sessions whose lease ran out and removes what closed sessions left: packs that were begun and never
// indexed, and temporary files. No clock but the database's is asked, and that only about leases: a pack is given up
// when its session is closed, in the same order in which an upload would make it count.
func (s *Service) Sweep(ctx context.Context) error {
	if _, err := s.db.CloseSessions(ctx); err != nil {
		return err
	}
	doomed, err := s.db.DoomPacks(ctx)
	if err != nil {
		return err
	}
	swept := map[int32]error{}
	for _, v := range s.volumes.list() {
		swept[v.ID] = s.sweepVolume(ctx, v.ID)
		err = errors.Join(err, swept[v.ID])
	}
	for _, p := range doomed {
		// An upload that is slow to notice its end could still give a temporary file the name of the pack: that goes first.
		if failed, known := swept[p.Volume]; known && failed == nil {
			err = errors.Join(err, s.remove(ctx, p))
		}
	}
	return err
}

// remove removes a doomed pack: the index does not know it any more, so its file goes first and its row then.
func (s *Service) remove(ctx context.Context, p postgres.Pack) error {
	vol, err := s.volumes.get(ctx, p.Volume)
	if err != nil {
		return fmt.Errorf("pack %s: %w", p.Name, err)
	}
	if err := vol.Delete(p.Name); err != nil {
		return err
	}
	s.packs.forget(p.ID)
	return s.db.ForgetPack(ctx, p.ID)
}

func (s *Service) sweepVolume(ctx context.Context, id int32) error {
	vol, err := s.volumes.get(ctx, id)
	if err != nil {
		return err
	}
	return vol.Sweep(func(owner string) bool {
		token, err := postgres.ParseToken(owner)
		if err != nil {
			return false // not a session's: somebody else's business
		}
		open, err := s.db.SessionOpen(ctx, token)
		return err == nil && !open
	})
}
