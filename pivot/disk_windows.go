package pivot

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// WinFsp mounts a directory as a reparse point that it makes and removes itself.
const mountIsLink = true

// mountPoint is a reparse point with a volume behind it.
type mountPoint struct{ path string }

func mountsAt(path string) ([]mountPoint, error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&(os.ModeSymlink|os.ModeIrregular) == 0 {
		return nil, nil
	}
	return []mountPoint{{path}}, nil
}

// mountsUnder finds none: removing a tree does not follow reparse points on Windows.
func mountsUnder(string) ([]mountPoint, error) { return nil, nil }

// isDead finds none: the driver removes a mount when its server dies.
func isDead(string) bool { return false }

// contentBelow is Missing, because a mount here stands in the directory's place.
func contentBelow(string) Content { return Missing }

func identifyBelow(path string) (identity, error) {
	if at, _ := mountsAt(path); len(at) > 0 {
		return identity{}, &os.PathError{Op: "stat", Path: path, Err: os.ErrNotExist}
	}
	return identify(path)
}

func identify(path string) (identity, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return identity{}, err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	const flags = windows.FILE_FLAG_BACKUP_SEMANTICS | windows.FILE_FLAG_OPEN_REPARSE_POINT
	h, err := windows.CreateFile(name, 0, share, nil, windows.OPEN_EXISTING, flags, 0)
	if err != nil {
		return identity{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	defer windows.CloseHandle(h)
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return identity{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return identity{
		Inode: uint64(info.FileIndexHigh)<<32 | uint64(info.FileIndexLow),
		Born:  info.CreationTime.Nanoseconds(),
	}, nil
}

func unmount(_ context.Context, path string, _ bool) error {
	return fmt.Errorf("unmount %s: %w from outside on Windows; end the program that mounted it", path, errors.ErrUnsupported)
}
