package vfs_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/vfstest"
)

// held is what a disk holds already: chunks, and files that may be other than they were.
type held struct {
	chunk.Map
	files map[chunk.ID]string
}

func (h *held) Whole(id chunk.ID, size uint64) (*os.File, error) {
	path, ok := h.files[id]
	if !ok {
		return nil, chunk.ErrNotFound
	}
	return os.Open(path)
}

// near opens a desktop beside what its disk holds.
func near(t *testing.T, dir string, tr *vfstest.Tree, h chunk.Source) *disk {
	t.Helper()
	d := &disk{T: t, tr: tr, root: tr.Finish(), dir: dir, src: vfstest.NewSource(tr.Map)}
	f, err := vfs.Open(context.Background(), vfs.Options{
		Backing: filepath.Join(dir, "backing"), Side: filepath.Join(dir, "side"), Demand: d.src, Bulk: d.src, Root: d.root, Near: h,
	})
	if err != nil {
		t.Fatal(err)
	}
	d.f, d.sys = f, vfstest.Core{F: f}
	t.Cleanup(d.close)
	return d
}

// What the disk holds is not asked of the network: not by whoever waits, not in the background, not for listings; and it
// is there when the network is not (invariant 4).
func TestNear(t *testing.T) {
	tr := diskTree(t)
	tr.Finish()
	d := near(t, t.TempDir(), tr, tr.Map)
	d.src.Set(vfstest.Cut)
	for _, p := range []string{"d1/single1", "d2/ranged2", "d3/inline3"} {
		f, err := d.sys.Open(p, os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 500_000)
		if n, err := f.ReadAt(b, 0); err != nil || n == 0 {
			t.Errorf("%s: %d bytes, %v", p, n, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if s := d.f.Stats(); s.DemandCount != 0 || s.NearBytes < 500_000 || len(d.f.Misses()) != 0 {
		t.Errorf("after reading: %+v", s)
	}
	if err := d.f.ListAll(t.Context(), func() {}); err != nil {
		t.Fatal(err)
	}
	paths := d.tr.Files()
	whole, err := d.f.FillNear(t.Context(), wholes(paths))
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range whole {
		if !ok {
			t.Errorf("%s is not whole", paths[i])
		}
	}
	if s := d.f.Stats(); s.BulkBytes != 0 || s.NearBytes < 16_000_000 {
		t.Errorf("after filling: %+v", s)
	}
	if n := d.src.Fetched.Load(); n > 2 { // the root, before anything could be known
		t.Errorf("%d chunks came over the network", n)
	}
	d.finish()
}

// What the disk does not hold comes over the network, and only that.
func TestNearHoldsAPart(t *testing.T) {
	tr := diskTree(t)
	tr.Finish()
	some := chunk.Map{}
	for id, b := range tr.Map {
		if id[0]%3 > 0 {
			some[id] = b
		}
	}
	d := near(t, t.TempDir(), tr, some)
	for id := range some {
		d.src.SetFor(id, vfstest.Lost)
	}
	if err := d.f.ListAll(t.Context(), func() {}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.f.FillNear(t.Context(), wholes(d.tr.Files())); err != nil {
		t.Fatal(err)
	}
	d.finish()
	if d.src.Fetched.Load() == 0 {
		t.Error("nothing came over the network")
	}
}

// Where the file system can, a large file shares its bytes with the one that was there before, if that is still the
// same; if not nothing of it is to be seen (invariants 3 and 4).
func TestClone(t *testing.T) {
	for _, kind := range []string{"btrfs", "xfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			formatted(t, kind, dir)
			tr := vfstest.NewTree(t)
			h := &held{chunk.Map{}, map[chunk.ID]string{}}
			for i := range 6 {
				body := vfstest.Body(3_000_000+i, byte(i))
				tr.AddFile(fmt.Sprintf("same%d", i), body, 100_000)
				tr.AddFile(fmt.Sprintf("changed%d", i), vfstest.Body(2_000_000, byte(50+i)), 100_000)
				h.keep(t, filepath.Join(dir, fmt.Sprintf("old-same%d", i)), body, body)
				other := vfstest.Body(2_000_000, byte(50+i))
				other[i*300_000] ^= 1
				h.keep(t, filepath.Join(dir, fmt.Sprintf("old-changed%d", i)), vfstest.Body(2_000_000, byte(50+i)), other)
			}
			d := near(t, filepath.Join(dir, "desktop"), tr, h)
			if err := d.fill(); err != nil {
				t.Fatal(err)
			}
			cloned := 0
			for i := range 6 {
				if shares(t, filepath.Join(dir, "desktop/backing", fmt.Sprintf("same%d", i))) {
					cloned++
				}
				if shares(t, filepath.Join(dir, "desktop/backing", fmt.Sprintf("changed%d", i))) {
					t.Errorf("changed%d shares bytes with a file that is another", i)
				}
			}
			if want := map[bool]int{true: 6}[kind != "ext4"]; cloned != want {
				t.Errorf("%d files were cloned, want %d", cloned, want)
			}
			if s := d.f.Stats(); cloned > 0 && (s.NearBytes < 18_000_000 || s.BulkBytes > 13_000_000) {
				t.Errorf("%+v", s)
			}
			d.finish()
		})
	}
}

// keep has an old file that is said to hold was and holds is.
func (h *held) keep(t *testing.T, path string, was, is []byte) {
	t.Helper()
	h.files[chunk.Sum(was)] = path
	if err := os.WriteFile(path, is, 0o644); err != nil {
		t.Fatal(err)
	}
}

// formatted mounts a new file system of a kind at dir.
func formatted(t *testing.T, kind, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("mounting a disk needs root")
	}
	image := filepath.Join(t.TempDir(), "image")
	run(t, "truncate", "-s", "400M", image)
	run(t, "mkfs."+kind, "-q", image)
	run(t, "mount", "-o", "loop", image, dir)
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
}

// shares says whether the file system has bytes of a file for other files, too.
func shares(t *testing.T, path string) bool {
	t.Helper()
	out, err := exec.Command("filefrag", "-v", path).CombinedOutput()
	if err != nil {
		t.Fatalf("filefrag: %v: %s", err, out)
	}
	return bytes.Contains(out, []byte("shared"))
}

func wholes(paths []string) []vfs.Part {
	parts := make([]vfs.Part, len(paths))
	for i, p := range paths {
		parts[i].Path = p
	}
	return parts
}
