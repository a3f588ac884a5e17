package vfs_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/vfstest"
)

// However many directories somebody has looked at, descriptors are bounded (invariant 10), and all of them can still be used.
func TestDirectoryDescriptorsAreBounded(t *testing.T) {
	d := vfstest.Desktop{Map: chunk.Map{}, T: t}
	var dirs []cvd.Entry
	for i := range 5000 {
		dirs = append(dirs, d.Dir(fmt.Sprintf("d%05d", i), d.File("f", []byte("x"))))
	}
	f := open(t, d, d.Root(dirs...), t.TempDir())
	defer f.Close()
	for range 2 {
		for i := range dirs {
			n, _, err := f.Lookup(t.Context(), f.Root(), dirs[i].Name)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := f.Lookup(t.Context(), n, "f"); err != nil {
				t.Fatal(err)
			}
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	if len(fds) > 2500 {
		t.Errorf("%d descriptors are open after a look at %d directories", len(fds), len(dirs))
	}
}
