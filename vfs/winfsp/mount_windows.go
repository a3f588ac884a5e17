package winfsp

import (
	"fmt"

	"github.com/looming-project/looming/vfs"
	"github.com/winfsp/cgofuse/fuse"
)

// prepare sets what must be set before mounting: names are NTFS's, which finds
// them without regard to case.
func prepare(host *fuse.FileSystemHost) {
	host.SetCapCaseInsensitive(true)
	host.SetCapReaddirPlus(true)
}

// options are WinFsp's. Whoever mounts owns the files, for POSIX owners mean
// nothing here. Attributes may be kept for ever, since nothing but WinFsp's own
// requests changes what is visible; that also lets Windows cache bytes.
func options(o Options) []string {
	return []string{
		"-o", "uid=-1,gid=-1", "-o", "volname=" + o.Label, "-o", "FileSystemName=NTFS",
		"-o", "FileInfoTimeout=-1,DirInfoTimeout=1000,VolumeInfoTimeout=1000",
	}
}

// owner is nobody's business on Windows: the security descriptor is inherited.
func owner(uint32, uint32) vfs.Owner { return vfs.Owner{UID: ^uint32(0), GID: ^uint32(0)} }

// Unmount unmounts.
func (m *Mount) Unmount() error {
	if !m.host.Unmount() {
		return fmt.Errorf("unmounting %s: WinFsp refused", m.dir)
	}
	m.Wait()
	return nil
}

// Detach unmounts without waiting for requests under way.
func (m *Mount) Detach() error {
	if !m.host.Unmount() {
		return fmt.Errorf("unmounting %s: WinFsp refused", m.dir)
	}
	return nil
}

// withAttributes is whether WinFsp takes attributes from a listing: it does.
const withAttributes = true
