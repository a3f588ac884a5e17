package server

import (
	"context"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/cvd"
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

// sets are the chunks of a desktop.
type sets struct {
	figures *postgres.DesktopFigures
	all     *roaring64.Bitmap
	added   []addition // in the order of snapshots; disjoint
}

// addition is what a snapshot has that those before it of the same desktop had not.
type addition struct {
	id  cvd.SnapshotID
	set *roaring64.Bitmap
}

// workOut reads every set and the size of every chunk once. A chunk is added by the first snapshot of all that has it.
func (s *Server) workOut(ctx context.Context) (*postgres.Figures, error) {
	f := &postgres.Figures{Desktops: map[int64]*postgres.DesktopFigures{}, Added: map[cvd.SnapshotID]int64{}}
	snapshots, err := s.db.SnapshotCosts(ctx)
	if err != nil {
		return nil, err
	}
	desktops := map[int64]*sets{}
	order := map[cvd.SnapshotID]int{}
	for i, snap := range snapshots {
		d := desktops[snap.CVD]
		if d == nil {
			d = &sets{figures: &postgres.DesktopFigures{}, all: roaring64.New()}
			desktops[snap.CVD], f.Desktops[snap.CVD] = d, d.figures
		}
		if err := s.addSnapshot(ctx, d, snap); err != nil {
			return nil, err
		}
		f.Added[snap.ID], order[snap.ID] = 0, i
		f.Sums.Logical += snap.Bytes
	}
	return f, s.db.EachChunk(ctx, func(serial uint64, frame, plain int64) { count(f, desktops, order, serial, frame, plain) })
}

func (s *Server) addSnapshot(ctx context.Context, d *sets, snap postgres.SnapshotCost) error {
	encoded, err := s.db.Serials(ctx, []int64{snap.Seq})
	if err != nil {
		return err
	}
	for _, b := range encoded { // none if the snapshot was removed just now
		set := roaring64.New()
		if err := set.UnmarshalBinary(b); err != nil {
			return fmt.Errorf("the set of snapshot %s: %w", snap.ID, err)
		}
		set.AndNot(d.all)
		d.all.Or(set)
		d.added = append(d.added, addition{snap.ID, set})
	}
	d.figures.Logical = snap.Bytes
	d.figures.AllLogical += snap.Bytes
	return nil
}

// count adds one chunk to the figures of all that reach it.
func count(f *postgres.Figures, desktops map[int64]*sets, order map[cvd.SnapshotID]int, serial uint64, frame, plain int64) {
	users, only, first := 0, (*sets)(nil), cvd.SnapshotID{}
	for _, d := range desktops {
		if !d.all.Contains(serial) {
			continue
		}
		users++
		only = d
		d.figures.Stored += frame
		for _, a := range d.added {
			if a.set.Contains(serial) {
				if first.IsZero() || order[a.id] < order[first] {
					first = a.id
				}
				break
			}
		}
	}
	if users == 0 {
		return
	}
	f.Added[first] += frame
	f.Sums.Stored += frame
	f.Sums.Plain += plain
	if users == 1 {
		only.figures.Exclusive += frame
	}
}
