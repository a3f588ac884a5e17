package session

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// split tells the tree's own chunks from those of files.
func (d *desktop) split() (nodes, content []chunk.ID) {
	for _, id := range d.order {
		_, node := cvd.DecodeNode(copied(d.chunks[id]))
		_, root := cvd.DecodeRoot(copied(d.chunks[id]))
		_, list := cvd.DecodeList(copied(d.chunks[id]))
		if node == nil || root == nil || list == nil {
			nodes = append(nodes, id)
		} else {
			content = append(content, id)
		}
	}
	return nodes, content
}

func copied(b []byte) []byte { return append([]byte(nil), b...) }

// Invariants 1, 7 and 8: a rebuild after the loss of a pack with more chunks than a refusal names keeps all that is
// there readable, and what it found incomplete is no snapshot to commit by, until the chunks are uploaded again.
func TestRebuildIncomplete(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 200)
	there, rest := d.split()
	var lost []chunk.ID
	for i, id := range rest {
		if i%2 == 0 && len(lost) < missingMax+500 {
			lost = append(lost, id)
		} else {
			there = append(there, id)
		}
	}
	session := w.begin(t, 1, "desk")
	send := func(w *world, session string, ids []chunk.ID) {
		b := d.body(ids)
		_, err := w.Upload(t.Context(), 1, session, bytes.NewReader(b), int64(len(b)))
		must(t, err)
	}
	send(w, session, there)
	before := map[string]bool{}
	for _, p := range w.packsOf(t) {
		before[p] = true
	}
	send(w, session, lost)
	w.commit(t, 1, session, d)
	for _, p := range w.packsOf(t) {
		if !before[p] {
			must(t, os.Remove(p))
		}
	}
	w.exec(t, `truncate chunks, packs, files`)
	again := openWorld(t, w.dsn, w.volume, Options{})
	r, err := again.Rebuild(t.Context())
	must(t, err)
	if len(lost) <= missingMax || len(r.Incomplete) != 1 {
		t.Fatalf("%d lost chunks, incomplete: %v", len(lost), r.Incomplete)
	}
	if got := again.fetch(t, 1, d, there); count(got, wire.FrameOK) != len(there) {
		t.Errorf("%d of the %d chunks that are there can be read", count(got, wire.FrameOK), len(there))
	}
	session = again.begin(t, 1, "desk")
	if _, err := again.Commit(t.Context(), 1, session, wire.CommitRequest{Root: d.root}); !errors.Is(err, wire.ErrIncomplete) {
		t.Fatalf("a commit of a tree that lacks %d chunks: %v", len(lost), err)
	}
	send(again, session, lost)
	again.commit(t, 1, session, d)
	if got := again.fetch(t, 1, d, d.order); count(got, wire.FrameOK) != len(d.order) {
		t.Errorf("after healing %d of %d chunks came", count(got, wire.FrameOK), len(d.order))
	}
	var torn int
	must(t, again.sql.QueryRow(`select count(*) from snapshots where not whole`).Scan(&torn))
	if torn != 0 {
		t.Errorf("%d snapshots of a tree that is whole again count as incomplete", torn)
	}
}
