package vfs_test

import (
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/vfstest"
)

// The core alone keeps what its hosts promise.
func TestConformance(t *testing.T) {
	vfstest.Run(t, vfstest.Host{
		Show: func(_ *testing.T, f *vfs.FS, _ string) (vfstest.System, func()) { return vfstest.Core{F: f}, func() {} },
		Lacks: map[vfstest.Feature]string{
			vfstest.Mmap:    "the core has no kernel",
			vfstest.Signals: "the core has no processes",
			vfstest.Kernel:  "the core has no kernel",
		},
	})
}
