//go:build linux

package fuse_test

import (
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/fuse"
	"github.com/looming-project/looming/vfs/vfstest"
)

// A mount keeps what the core does, and what the kernel adds, with and without passthrough.
func TestConformance(t *testing.T) {
	t.Run("Passthrough", func(t *testing.T) { conform(t, fuse.Options{}) })
	t.Run("NoPassthrough", func(t *testing.T) { conform(t, fuse.Options{NoPassthrough: true}) })
}

func conform(t *testing.T, o fuse.Options) {
	vfstest.Run(t, vfstest.Host{
		Show: func(t *testing.T, f *vfs.FS, dir string) (vfstest.System, func()) {
			m, err := fuse.New(f, dir, o)
			if err != nil {
				t.Fatal(err)
			}
			return vfstest.Dir(dir), func() {
				if err := m.Unmount(); err != nil {
					t.Error(err, m.Detach())
				}
			}
		},
	})
}
