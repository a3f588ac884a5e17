package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// oldAndNew makes two trees of which nine tenths are the same: files of all sizes, some under other names, some
// changed in the middle, some new.
func oldAndNew(t *testing.T, older, newer string) {
	t.Helper()
	rnd := rand.NewChaCha8([32]byte{3})
	for i := range 400 {
		b := make([]byte, []int{900, 9_000, 60_000, 700_000}[i%4])
		_, _ = rnd.Read(b)
		name := fmt.Sprintf("d%d/sub/f%d", i%9, i)
		put(t, filepath.Join(older, name), b)
		switch {
		case i%20 == 1 || i%80 == 7:
			_, _ = rnd.Read(b)
		case i%40 == 3:
			b[len(b)/2] ^= 1
		case i%20 == 2:
			name = "moved" + name
		}
		put(t, filepath.Join(newer, name), b)
	}
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, b, 0o644))
}

// Over a system that shares nine tenths, little is fetched, whatever becomes of the old files meanwhile: what is used is
// what the snapshot has (invariants 3 and 4). What is used again is remembered by whoever goes on, and is found by itself
// where the machine knows the tree.
func TestReuse(t *testing.T) {
	r := serving(t)
	older, newer := r.path("older"), r.path("newer")
	oldAndNew(t, older, newer)
	laptop := r.endpoint("laptop", "")
	taken := r.snapshot(laptop, "desk", newer)
	all := r.reusing(laptop, "all", "none")
	if all.FromDisk != 0 || all.Crossed < taken.Bytes {
		t.Fatalf("without an old tree, %d bytes crossed and %d came from the disk", all.Crossed, all.FromDisk)
	}
	some := r.reusing(laptop, "some", older)
	if some.Crossed*100 > all.Crossed*12 || some.FromDisk*100 < taken.Bytes*85 {
		t.Errorf("over the old tree %d bytes crossed of %d, %d came from the disk", some.Crossed, all.Crossed, some.FromDisk)
	}
	r.same(newer, r.path("some"))

	t.Run("changed under the index", func(t *testing.T) {
		for i := 0; i < 400; i += 5 {
			lie(t, filepath.Join(older, fmt.Sprintf("d%d/sub/f%d", i%9, i)))
		}
		r.reusing(laptop, "lies", older)
		r.same(newer, r.path("lies"))
	})
	t.Run("known by itself", func(t *testing.T) {
		out, err := lab.Run(r.ctx, laptop.Command("stream", "--cvd", "desk", r.path("again")))
		must(t, err)
		var s lab.Streaming
		must(t, json.Unmarshal(out, &s))
		if s.Crossed*100 > all.Crossed*2 {
			t.Errorf("of a desktop that was streamed here before, %d bytes crossed", s.Crossed)
		}
		r.same(newer, r.path("again"))
	})
	t.Run("restore", func(t *testing.T) {
		out, err := lab.Run(r.ctx, laptop.Command("restore", "/", "--cvd", "desk", "--to", r.path("restored"), "--reuse", older))
		must(t, err)
		var doc struct {
			Crossed  uint64
			FromDisk uint64 `json:"from_disk"`
		}
		must(t, json.Unmarshal(out, &doc))
		if doc.Crossed*100 > all.Crossed*40 || doc.FromDisk == 0 {
			t.Errorf("restored: %+v of %d", doc, all.Crossed)
		}
		r.same(newer, r.path("restored"))
	})
}

// lie changes a file and leaves it the times that it had.
func lie(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	b, err := os.ReadFile(path)
	must(t, err)
	b[len(b)/3] ^= 0x40
	must(t, os.WriteFile(path, b, 0o644))
	must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// reusing streams a desktop until it is native.
func (r *rig) reusing(e *lab.Endpoint, name string, trees ...string) lab.Streaming {
	r.Helper()
	var args []string
	for _, tree := range trees {
		args = append(args, "--reuse", tree)
	}
	s, err := lab.EndStream(r.ctx, r.stopped(e.Stream(r.ctx, "desk", r.path(name), args...)))
	must(r.T, err)
	if s.Phase != "native" {
		r.Fatalf("%s ended as %q", name, s.Phase)
	}
	return s
}
