package session

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/looming-project/looming/server/internal/sis"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// packsOf lists the files of a volume's packs.
func (w *world) packsOf(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(w.volume, "packs", "*", "*.pack"))
	must(t, err)
	return files
}

// largest is the file of the largest pack.
func (w *world) largest(t *testing.T) (path string) {
	t.Helper()
	var most int64
	for _, p := range w.packsOf(t) {
		info, err := os.Stat(p)
		must(t, err)
		if info.Size() > most {
			path, most = p, info.Size()
		}
	}
	return path
}

// flip changes one bit within the frame of a chunk, in the pack where the index says that it lies.
func (w *world) flip(t *testing.T, id chunk.ID) {
	t.Helper()
	chunks, err := w.db.Chunks(t.Context(), []chunk.ID{id})
	must(t, err)
	c := chunks[id]
	packs, err := w.db.Packs(t.Context(), []int32{c.Pack})
	must(t, err)
	name := packs[0].Name.String()
	f, err := os.OpenFile(filepath.Join(w.volume, "packs", name[:2], name+".pack"), os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	at := int64(c.Offset) + sis.RecordHead + int64(c.Length)/2
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	must(t, err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b[:], at)
	must(t, err)
}

// Invariants 3 and 9: a flipped bit costs one chunk, which is said to be damaged, found by verify with the files that
// it touches, and healed by an upload.
func TestFlippedBit(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 8)
	w.centralize(t, 1, "desk", d)
	whole := w.commitUnder(t, "second", makeDesktop(t, 2, 5))
	bad := d.order[3] // of the first file's, or a file's of its own
	w.flip(t, bad)
	got := w.fetch(t, 1, d, d.order)
	if got[bad] != wire.FrameDamaged || count(got, wire.FrameOK) != len(d.order)-1 {
		t.Errorf("status %d for the damaged chunk, %d of %d others whole", got[bad], count(got, wire.FrameOK), len(d.order)-1)
	}
	r, err := w.Verify(t.Context(), nil)
	must(t, err)
	if r.DamagedCount != 1 || r.Damaged[0].ID != bad || r.Damaged[0].Volume != w.volume {
		t.Errorf("verify found %+v", r.Damaged)
	}
	if len(r.Files) == 0 {
		t.Fatal("verify found no file")
	}
	for _, f := range r.Files {
		if f.CVD != "desk" || f.Snapshot == whole.ID || !strings.HasPrefix(f.Path, "dir 00000/file ") {
			t.Errorf("verify names %+v", f)
		}
	}
	w.heal(t, d, bad)
}

func (w *world) commitUnder(t *testing.T, name string, d *desktop) cvd.Snapshot {
	t.Helper()
	return w.centralize(t, 1, name, d)
}

// heal uploads what is missing, which must be the one chunk, and expects all to be well.
func (w *world) heal(t *testing.T, d *desktop, bad chunk.ID) {
	t.Helper()
	session := w.begin(t, 1, "desk")
	haves, err := w.Have(t.Context(), 1, session, d.order)
	must(t, err)
	for i, h := range haves {
		if want := d.order[i] == bad; want != (h == wire.Missing) {
			t.Errorf("chunk %d: %d, damaged %v", i, h, want)
		}
	}
	if sent := w.upload(t, 1, session, d); sent != 1 {
		t.Errorf("%d chunks went to heal one", sent)
	}
	if got := w.fetch(t, 1, d, d.order); count(got, wire.FrameOK) != len(d.order) {
		t.Errorf("after healing %d of %d chunks are whole", count(got, wire.FrameOK), len(d.order))
	}
	r, err := w.Verify(t.Context(), nil)
	must(t, err)
	if r.DamagedCount != 0 || r.FileCount != 0 {
		t.Errorf("after healing verify found %+v %+v", r.Damaged, r.Files)
	}
}

// Another snapshot of a damaged desktop is not committed before it is healed.
func TestDamagedRoot(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 5)
	w.centralize(t, 1, "desk", d)
	w.flip(t, chunk.ID(d.root))
	w.fetch(t, 1, d, d.order) // notices
	session := w.begin(t, 1, "desk")
	_, err := w.Commit(t.Context(), 1, session, wire.CommitRequest{Root: d.root})
	p := wire.ProblemOf(err)
	if p.Type != "looming:incomplete" || !slices.Equal(p.Missing, []chunk.ID{chunk.ID(d.root)}) {
		t.Fatalf("commit of a damaged root: %v, missing %v", err, p.Missing)
	}
	w.upload(t, 1, session, d)
	w.commit(t, 1, session, d)
}

// A pack that is gone, cut short or overwritten damages its chunks and no others, and heals.
func TestLostPacks(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"gone":        os.Remove,
		"cut short":   func(path string) error { return os.Truncate(path, 5000) },
		"overwritten": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte{7}, 100_000), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{})
			d := makeDesktop(t, 1, 10)
			w.centralize(t, 1, "desk", d)
			must(t, w.packs.close())
			must(t, spoil(w.largest(t)))
			got := w.fetch(t, 1, d, d.order)
			lost := count(got, wire.FrameDamaged)
			if lost == 0 || lost == len(d.order) || lost+count(got, wire.FrameOK) != len(d.order) {
				t.Fatalf("%d chunks of %d are damaged", lost, len(d.order))
			}
			r, err := w.Verify(t.Context(), nil)
			must(t, err)
			if r.DamagedCount != lost || r.FileCount == 0 {
				t.Errorf("verify found %d damaged chunks and %d files, fetch %d chunks", r.DamagedCount, r.FileCount, lost)
			}
			session := w.begin(t, 1, "desk")
			if sent := w.upload(t, 1, session, d); sent != lost {
				t.Errorf("%d chunks went to heal %d", sent, lost)
			}
			if got := w.fetch(t, 1, d, d.order); count(got, wire.FrameOK) != len(d.order) {
				t.Errorf("after healing %d of %d chunks are whole", count(got, wire.FrameOK), len(d.order))
			}
		})
	}
}

// The index is made again from the packs alone, whole ones and one whose own index is lost.
func TestRebuild(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 8)
	snap := w.centralize(t, 1, "desk", d)
	packs := w.packsOf(t)
	info, err := os.Stat(w.largest(t))
	must(t, err)
	must(t, os.Truncate(w.largest(t), info.Size()-20))
	w.exec(t, `truncate chunks, packs, files`)
	w.exec(t, `update snapshots set serials = ''`)
	again := openWorld(t, w.dsn, w.volume, Options{})
	r, err := again.Rebuild(t.Context())
	must(t, err)
	if r.Packs != len(packs) || r.Chunks != len(d.order) || len(r.Broken) != 1 || r.Snapshots != 1 || len(r.Incomplete) != 0 {
		t.Errorf("rebuilt %+v, want %d packs, %d chunks, one broken", r, len(packs), len(d.order))
	}
	if got := again.fetch(t, 1, d, d.order); count(got, wire.FrameOK) != len(d.order) {
		t.Errorf("after a rebuild %d of %d chunks came", count(got, wire.FrameOK), len(d.order))
	}
	session := again.begin(t, 1, "desk")
	if sent := again.upload(t, 1, session, d); sent != 0 {
		t.Errorf("after a rebuild %d chunks went again", sent)
	}
	if second := again.commit(t, 1, session, d); second.Parent != snap.ID {
		t.Errorf("the next snapshot has the parent %s, want %s", second.Parent, snap.ID)
	}
	r, err = again.Rebuild(t.Context())
	must(t, err)
	if r.Chunks != 0 {
		t.Errorf("a second rebuild entered %d chunks", r.Chunks)
	}
}
