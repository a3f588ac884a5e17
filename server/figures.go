package server

import (
	"context"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/looming-project/looming/server/internal/postgres"
)

// The pace of working figures out: soon after a change, but never more than a twentieth of the time.
const (
	figuresSoon  = 2 * time.Second
	figuresShare = 20
	figuresRetry = 30 * time.Second
)

// keepFigures works out what desktops cost whenever one changed, until ctx ends.
func (s *Server) keepFigures(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	changed <- struct{}{} // once at the start
	heard := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with ctx
		heard <- s.db.Listen(ctx, func(postgres.Heard) {
			select {
			case changed <- struct{}{}:
			default:
			}
		}, postgres.DesktopChanged)
	}()
	for {
		select {
		case err := <-heard:
			return err
		case <-changed:
		}
		wait := figuresSoon
		begun := time.Now()
		if _, err := s.db.WithFigures(ctx, s.workOut); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot work out what desktops cost, trying again", "error", err)
			wait = figuresRetry
			select {
			case changed <- struct{}{}:
			default:
			}
		}
		if !pause(ctx, max(wait, figuresShare*time.Since(begun))) {
			return <-heard
		}
	}
}

// workOut reads what figures are worked out from.
func (s *Server) workOut(ctx context.Context) (*postgres.Figures, error) {
	snapshots, err := s.db.SnapshotCosts(ctx)
	if err != nil {
		return nil, err
	}
	w := reckoning{
		snapshots: snapshots,
		load: func(c *postgres.SnapshotCost) (*roaring64.Bitmap, error) {
			set := roaring64.New()
			encoded, err := s.db.Serials(ctx, []int64{c.Seq})
			if err != nil || len(encoded) == 0 { // none if it was removed just now
				return set, err
			}
			if err := set.UnmarshalBinary(encoded[0]); err != nil {
				return nil, fmt.Errorf("the set of snapshot %s: %w", c.ID, err)
			}
			return set, nil
		},
		each: func(fn func(serial uint64, frame, plain int64)) error { return s.db.EachChunk(ctx, fn) },
	}
	return w.run()
}
