//go:build cgo

package winfsp

import (
	"fmt"
	"os"

	"github.com/looming-project/looming/vfs"
	"github.com/winfsp/cgofuse/fuse"
	"golang.org/x/sys/unix"
)

// prepare sets what must be set before mounting.
func prepare(host *fuse.FileSystemHost) {
	host.SetCapOpenTrunc(true)
	if os.Geteuid() == 0 {
		unix.Umask(0) // modes come from the kernel as they shall be
	}
}

// options are libfuse's. Attributes are not kept: libfuse knows a hard-linked
// file by each of its paths apart.
func options(Options) []string {
	out := []string{"-o", "fsname=looming,use_ino,default_permissions,big_writes,attr_timeout=0,entry_timeout=0"}
	if os.Geteuid() == 0 {
		out = append(out, "-o", "allow_other")
	}
	return out
}

// owner is who makes an entry.
func owner(uid, gid uint32) vfs.Owner { return vfs.Owner{UID: uid, GID: gid} }

// Unmount unmounts. While files are open it fails with EBUSY.
func (m *Mount) Unmount() error {
	if err := unix.Unmount(m.dir, 0); err != nil {
		return fmt.Errorf("unmounting %s: %w", m.dir, err)
	}
	m.Wait()
	return nil
}

// Detach takes the file system out of sight; it ends when its last file is closed.
func (m *Mount) Detach() error { return unix.Unmount(m.dir, unix.MNT_DETACH) }

// withAttributes is whether libfuse keeps attributes that a listing tells: it does not.
const withAttributes = false
