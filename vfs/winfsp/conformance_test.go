//go:build linux && cgo

package winfsp_test

import (
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/vfstest"
	"github.com/looming-project/looming/vfs/winfsp"
)

func TestMain(m *testing.M) { vfstest.Main(m) }

// The host for Windows keeps what the others do, as far as libfuse 2 has calls for it.
func TestConformance(t *testing.T) {
	vfstest.Run(t, vfstest.Host{
		Show: func(t *testing.T, f *vfs.FS, dir string) (vfstest.System, func()) {
			m, err := winfsp.New(f, dir, winfsp.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return vfstest.Dir(dir), func() {
				if err := m.Unmount(); err != nil {
					t.Error(err, m.Detach())
				}
			}
		},
		Lacks: map[vfstest.Feature]string{
			vfstest.Fallocate:   "cgofuse has no such call",
			vfstest.SeekData:    "cgofuse has no such call",
			vfstest.RenameFlags: "libfuse 2 has no such call",
			vfstest.Signals:     "cgofuse tells of no interrupted request",
			vfstest.OneTime:     "libfuse 2 does nothing then, unless asked in a way that cgofuse has not",
			vfstest.Kernel:      "libfuse 2 knows no default ACLs, and clears setuid bits by itself",
		},
	})
}
