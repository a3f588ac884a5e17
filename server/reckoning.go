package server

import (
	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/cvd"
)

// groupSize is how many desktops' sets are in memory at once. Every group reads the sizes of all chunks.
const groupSize = 64

// reckoning works out what desktops and snapshots cost. Besides a group's sets it holds sets that have each chunk of
// the store at most once: about two bytes a chunk.
type reckoning struct {
	snapshots []postgres.SnapshotCost // in the order in which they were committed
	load      func(*postgres.SnapshotCost) (*roaring64.Bitmap, error)
	each      func(fn func(serial uint64, frame, plain int64)) error

	desktops []*desktopSets
	all      *roaring64.Bitmap // what any desktop has
	shared   *roaring64.Bitmap // what more than one has
	figures  *postgres.Figures
}

// desktopSets is a desktop, with its set while its group's turn is.
type desktopSets struct {
	figures   *postgres.DesktopFigures
	snapshots []*postgres.SnapshotCost
	set       *roaring64.Bitmap
	added     []addition
}

// addition is what a snapshot has that none before it had, of whatever desktop.
type addition struct {
	id  cvd.SnapshotID
	set *roaring64.Bitmap
}

func (r *reckoning) run() (*postgres.Figures, error) {
	r.all, r.shared = roaring64.New(), roaring64.New()
	r.figures = &postgres.Figures{Desktops: map[int64]*postgres.DesktopFigures{}, Added: map[cvd.SnapshotID]int64{}}
	if err := r.additions(); err != nil {
		return nil, err
	}
	if err := r.overlaps(); err != nil {
		return nil, err
	}
	for from := 0; from < len(r.desktops); from += groupSize {
		if err := r.group(r.desktops[from:min(from+groupSize, len(r.desktops))], from == 0); err != nil {
			return nil, err
		}
	}
	return r.figures, nil
}

// additions finds the desktops, and for each snapshot what it added to the store.
func (r *reckoning) additions() error {
	byCVD := map[int64]*desktopSets{}
	seen := roaring64.New()
	for i := range r.snapshots {
		snap := &r.snapshots[i]
		d := byCVD[snap.CVD]
		if d == nil {
			d = &desktopSets{figures: &postgres.DesktopFigures{}}
			byCVD[snap.CVD], r.figures.Desktops[snap.CVD] = d, d.figures
			r.desktops = append(r.desktops, d)
		}
		set, err := r.load(snap)
		if err != nil {
			return err
		}
		set.AndNot(seen)
		seen.Or(set)
		d.snapshots = append(d.snapshots, snap)
		d.added = append(d.added, addition{snap.ID, set})
		d.figures.Logical = snap.Bytes
		d.figures.AllLogical += snap.Bytes
		r.figures.Added[snap.ID] = 0
		r.figures.Sums.Logical += snap.Bytes
	}
	return nil
}

// union is everything that a desktop's snapshots have.
func (r *reckoning) union(d *desktopSets) (*roaring64.Bitmap, error) {
	all := roaring64.New()
	for _, snap := range d.snapshots {
		set, err := r.load(snap)
		if err != nil {
			return nil, err
		}
		all.Or(set)
	}
	return all, nil
}

// overlaps finds what more than one desktop has.
func (r *reckoning) overlaps() error {
	for _, d := range r.desktops {
		set, err := r.union(d)
		if err != nil {
			return err
		}
		r.shared.Or(roaring64.And(set, r.all))
		r.all.Or(set)
	}
	return nil
}

// group sums up some desktops, and the first group everything.
func (r *reckoning) group(desktops []*desktopSets, sums bool) (err error) {
	for _, d := range desktops {
		if d.set, err = r.union(d); err != nil {
			return err
		}
	}
	err = r.each(func(serial uint64, frame, plain int64) {
		if !r.all.Contains(serial) {
			return
		}
		if sums {
			r.figures.Sums.Stored += frame
			r.figures.Sums.Plain += plain
		}
		shared := r.shared.Contains(serial)
		for _, d := range desktops {
			if d.set.Contains(serial) {
				r.count(d, serial, frame, shared)
			}
		}
	})
	for _, d := range desktops {
		d.set = nil
	}
	return err
}

// count adds one chunk to a desktop that has it.
func (r *reckoning) count(d *desktopSets, serial uint64, frame int64, shared bool) {
	d.figures.Stored += frame
	if !shared {
		d.figures.Exclusive += frame
	}
	for _, a := range d.added {
		if a.set.Contains(serial) {
			r.figures.Added[a.id] += frame
			return
		}
	}
}
