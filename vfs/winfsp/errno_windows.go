package winfsp

import (
	"github.com/winfsp/cgofuse/fuse"
	"golang.org/x/sys/windows"
)

// native are Windows' own numbers.
var native = []struct {
	err   error
	errno int
}{
	{windows.ERROR_DISK_FULL, fuse.ENOSPC},
	{windows.ERROR_HANDLE_DISK_FULL, fuse.ENOSPC},
	{windows.ERROR_DIR_NOT_EMPTY, fuse.ENOTEMPTY},
	{windows.ERROR_DIRECTORY, fuse.ENOTDIR},
	{windows.ERROR_SHARING_VIOLATION, fuse.EBUSY},
	{windows.ERROR_LOCK_VIOLATION, fuse.EBUSY},
	{windows.ERROR_NOT_SAME_DEVICE, fuse.EXDEV},
	{windows.ERROR_WRITE_PROTECT, fuse.EROFS},
	{windows.ERROR_FILENAME_EXCED_RANGE, fuse.ENAMETOOLONG},
	{windows.ERROR_TOO_MANY_LINKS, fuse.EMLINK},
	{windows.ERROR_PRIVILEGE_NOT_HELD, fuse.EPERM},
}
