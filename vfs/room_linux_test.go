package vfs_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/vfstest"
)

// Where the disk has no more than what is its user's, the background brings nothing
// and says why (invariant 9), and who demands is served all the same.
func TestReserve(t *testing.T) {
	tr := vfstest.NewTree(t)
	tr.AddFile("a/single", vfstest.Body(50_000, 1), 1)
	tr.AddFile("a/ranged", vfstest.Body(500_000, 2), 100_000)
	tr.AddFile("b/other", vfstest.Body(50_000, 3), 1)
	root, dir := tr.Finish(), t.TempDir()
	open := func(reserve uint64) *vfs.FS {
		f, err := vfs.Open(t.Context(), vfs.Options{
			Backing: filepath.Join(dir, "b"), Side: filepath.Join(dir, "s"), Demand: tr, Bulk: tr, Root: root, Reserve: reserve,
		})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	full := open(1 << 62)
	core := vfstest.Core{F: full}
	for _, p := range []string{"a/single", "a/ranged"} {
		if err := vfstest.CheckBody(core, p, tr.Want[p].Body); err != nil {
			t.Errorf("demanded: %v", err)
		}
	}
	if err := full.ListAll(t.Context(), func() {}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("listing all: %v", err)
	}
	if _, err := core.Lstat("b/other"); err != nil {
		t.Error(err)
	}
	if errs := full.Fill(t.Context(), []string{"b/other"}); !errors.Is(errs[0], syscall.ENOSPC) {
		t.Errorf("filling: %v", errs[0])
	}
	if _, err := full.FillRange(t.Context(), "b/other", 0, 1, false); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("filling a range: %v", err)
	}
	if err := full.Close(); err != nil {
		t.Error(err)
	}
	f := open(1)
	if err := errors.Join(append(f.Fill(t.Context(), []string{"b/other"}), f.ListAll(t.Context(), func() {}), f.Close())...); err != nil {
		t.Errorf("with room: %v", err)
	}
}
