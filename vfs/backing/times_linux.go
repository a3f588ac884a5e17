package backing

import (
	"unsafe"

	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sys/unix"
)

// futimens sets the times of an open file: utimensat(2) with a null path,
// which x/sys/unix does not offer.
func futimens(fd int, atime, mtime cvd.Time) error {
	ts := [2]unix.Timespec{timespec(atime), timespec(mtime)}
	_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}
