package server

import (
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"pgregory.net/rapid"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/cvd"
)

// What desktops cost agrees with counting chunk by chunk; what snapshots added sums up to what is stored.
func TestReckoning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunks := rapid.IntRange(1, 40).Draw(t, "chunks")
		desktops := rapid.IntRange(1, 3*groupSize/2).Draw(t, "desktops")
		n := rapid.IntRange(0, 2*desktops).Draw(t, "snapshots")
		sets := make([]map[uint64]bool, n)
		r := reckoning{snapshots: make([]postgres.SnapshotCost, n)}
		for i := range sets {
			sets[i] = map[uint64]bool{}
			for _, serial := range rapid.SliceOfN(rapid.IntRange(1, chunks), 0, 10).Draw(t, "set") {
				sets[i][uint64(serial)] = true
			}
			r.snapshots[i] = postgres.SnapshotCost{
				Seq: int64(i), CVD: int64(rapid.IntRange(1, desktops).Draw(t, "cvd")),
				ID: cvd.SnapshotID{1, byte(i), byte(i >> 8)}, Bytes: int64(100 + i),
			}
		}
		r.load = func(c *postgres.SnapshotCost) (*roaring64.Bitmap, error) {
			b := roaring64.New()
			for serial := range sets[c.Seq] {
				b.Add(serial)
			}
			return b, nil
		}
		r.each = func(fn func(serial uint64, frame, plain int64)) error {
			for serial := range uint64(chunks + 5) { // some that nothing reaches
				fn(serial, int64(serial), int64(3*serial))
			}
			return nil
		}
		f, err := r.run()
		if err != nil {
			t.Fatal(err)
		}
		compare(t, f, r.snapshots, sets)
	})
}

// compare counts the slow way.
func compare(t *rapid.T, f *postgres.Figures, snapshots []postgres.SnapshotCost, sets []map[uint64]bool) {
	users := map[uint64]map[int64]bool{}
	added, first := map[cvd.SnapshotID]int64{}, map[uint64]bool{}
	want := map[int64]*postgres.DesktopFigures{}
	var sums postgres.Sums
	for i, s := range snapshots {
		if want[s.CVD] == nil {
			want[s.CVD] = &postgres.DesktopFigures{}
		}
		want[s.CVD].Logical = s.Bytes
		want[s.CVD].AllLogical += s.Bytes
		sums.Logical += s.Bytes
		for serial := range sets[i] {
			if users[serial] == nil {
				users[serial] = map[int64]bool{}
			}
			users[serial][s.CVD] = true
			if !first[serial] {
				first[serial] = true
				added[s.ID] += int64(serial)
				sums.Stored += int64(serial)
				sums.Plain += 3 * int64(serial)
			}
		}
	}
	for serial, who := range users {
		for id := range who {
			want[id].Stored += int64(serial)
			if len(who) == 1 {
				want[id].Exclusive += int64(serial)
			}
		}
	}
	if f.Sums != sums {
		t.Errorf("sums %+v, want %+v", f.Sums, sums)
	}
	for id, d := range want {
		if *f.Desktops[id] != *d {
			t.Errorf("desktop %d: %+v, want %+v", id, *f.Desktops[id], *d)
		}
	}
	for _, s := range snapshots {
		if f.Added[s.ID] != added[s.ID] {
			t.Errorf("snapshot %s added %d, want %d", s.ID, f.Added[s.ID], added[s.ID])
		}
	}
}
