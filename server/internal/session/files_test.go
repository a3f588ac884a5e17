package session

import (
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// A large file that the CVD has is known by its id; to another CVD it is a hint that proves nothing.
func TestFiles(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 30)
	w.centralize(t, 1, "desk", d)
	ids := []chunk.ID{chunk.Sum([]byte("unknown"))}
	for id := range d.files {
		ids = append(ids, id)
	}
	if len(ids) < 3 {
		t.Fatalf("%d large files: the desktop is too small", len(ids)-1)
	}
	for device, want := range map[int64]wire.Have{1: wire.Present, 2: wire.Unproven} {
		name := map[int64]string{1: "desk", 2: "other"}[device]
		answers, err := w.Files(t.Context(), device, w.begin(t, device, name), ids)
		must(t, err)
		if answers[0].Have != wire.Missing {
			t.Errorf("an unknown file is %d", answers[0].Have)
		}
		for i, a := range answers[1:] {
			id := ids[i+1]
			if a.Have != want || a.Content.ID != id || a.Size != uint64(len(d.files[id])) {
				t.Fatalf("device %d: file %s of %d bytes: %d, %+v", device, id, len(d.files[id]), a.Have, a.Content)
			}
			refs, err := cvd.ChunksOf(t.Context(), d.chunks, a.Size, &a.Content)
			must(t, err)
			var whole []byte
			for _, r := range refs {
				whole = append(whole, d.chunks[r.ID]...)
			}
			if chunk.Sum(whole) != id {
				t.Errorf("the content of file %s is another file's", id)
			}
		}
	}
}

// Another device's false claim about a file never counts as a fact, even when all its chunks are one's own.
func TestPoisonedFile(t *testing.T) {
	w := newWorld(t, Options{})
	victim := &desktop{chunks: chunk.Map{}, files: map[chunk.ID][]byte{}}
	rnd := newRand()
	a, b := randomText(rnd, 3_000_000), randomText(rnd, 3_000_000)
	victim.tree(t, cvd.Sums{}, victim.file(t, "b", b))
	w.centralize(t, 1, "desk", victim)
	evil := &desktop{chunks: chunk.Map{}, files: map[chunk.ID][]byte{}}
	e := evil.file(t, "a", b)
	e.Content.ID = chunk.Sum(a) // the file a is said to have the content of b
	evil.tree(t, cvd.Sums{}, e)
	w.centralize(t, 2, "evil", evil)
	answers, err := w.Files(t.Context(), 1, w.begin(t, 1, "desk"), []chunk.ID{chunk.Sum(a)})
	must(t, err)
	if answers[0].Have == wire.Present {
		t.Error("what another device said about a file counts as present")
	}
}
