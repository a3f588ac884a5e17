package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFlippedBit: a bit that flipped in a pack reaches nobody (invariant 3).
// Reading the file fails, the log says which file it is, and all others work
// (invariant 9).
func TestFlippedBit(t *testing.T) {
	r := serving(t)
	e := r.endpoint("office", "")
	root := r.path("root")
	must(t, os.Mkdir(root, 0o755))
	good, bad := noise(100<<10), noise(100<<10)
	must(t, os.WriteFile(filepath.Join(root, "good"), good, 0o644))
	must(t, os.WriteFile(filepath.Join(root, "bad"), bad, 0o644))
	r.snapshot(e, "desk", root)
	flip(t, filepath.Join(r.server.Data, "volume"), bad[50<<10:50<<10+64])
	point := r.path("desk")
	p := r.stopped(e.Mount(r.ctx, "desk", point))
	if got, err := os.ReadFile(filepath.Join(point, "bad")); err == nil {
		t.Errorf("a damaged file was read: %d bytes, as it was: %v", len(got), bytes.Equal(got, bad))
	}
	if got, err := os.ReadFile(filepath.Join(point, "good")); err != nil || !bytes.Equal(got, good) {
		t.Errorf("another file: %d bytes (%v)", len(got), err)
	}
	if said := p.Said(); !strings.Contains(said, "bad") || !strings.Contains(said, "damaged") {
		t.Errorf("the log does not say which file is damaged:\n%s", said)
	}
	if said := complaints(r.server.Process().Said()); !strings.Contains(said, "damaged") {
		t.Errorf("the server's log does not complain of the damage:\n%s", said)
	}
}

// flip turns one bit of the only place in a volume that holds some bytes.
func flip(t *testing.T, volume string, of []byte) {
	t.Helper()
	found := 0
	must(t, filepath.WalkDir(volume, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		pack, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		at := bytes.Index(pack, of)
		if at < 0 {
			return nil
		}
		found++
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte{pack[at] ^ 0x10}, int64(at))
		return err
	}))
	if found != 1 {
		t.Fatalf("%d packs hold the bytes that are to be damaged, want 1", found)
	}
}
