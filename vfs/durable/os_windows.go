package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

const errNotDir = windows.ERROR_DIRECTORY

func syncData(f *os.File) error { return f.Sync() } // FlushFileBuffers

// syncDir flushes a directory's entries. NTFS and ReFS do it on a handle that may write; where the file system knows
// no such flush (FAT, redirectors) renames are written through one by one anyway.
func syncDir(path string) error {
	err := flush(path, windows.FILE_FLAG_BACKUP_SEMANTICS)
	if errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_NOT_SUPPORTED) {
		return nil
	}
	return err
}

// syncFS flushes the volume that holds f.
func syncFS(f *os.File) error {
	name, err := windows.UTF16PtrFromString(longPath(f.Name()))
	if err != nil {
		return err
	}
	root := make([]uint16, windows.MAX_LONG_PATH)
	if err := windows.GetVolumePathName(name, &root[0], uint32(len(root))); err != nil {
		return err
	}
	volume := make([]uint16, windows.MAX_PATH)
	if err := windows.GetVolumeNameForVolumeMountPoint(&root[0], &volume[0], uint32(len(volume))); err != nil {
		return err
	}
	err = flush(strings.TrimSuffix(windows.UTF16ToString(volume), `\`), 0)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return fmt.Errorf("flushing a volume needs an administrator: %w", err)
	}
	return err
}

func flush(path string, flags uint32) error {
	name, err := windows.UTF16PtrFromString(longPath(path))
	if err != nil {
		return err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, share, nil, windows.OPEN_EXISTING, flags, 0)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	return windows.FlushFileBuffers(h)
}

func replace(from, to string) error {
	return moveFile(from, to, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
}

func noReplace(from, to string) error {
	return moveFile(from, to, windows.MOVEFILE_WRITE_THROUGH)
}

func exchange(a, b string) error {
	return fmt.Errorf("exchanging two names is %w on Windows", errors.ErrUnsupported)
}

func moveFile(from, to string, flags uint32) error {
	f, err := windows.UTF16PtrFromString(longPath(from))
	if err != nil {
		return err
	}
	t, err := windows.UTF16PtrFromString(longPath(to))
	if err != nil {
		return err
	}
	return windows.MoveFileEx(f, t, flags)
}

// longPath returns path in the form that is not cut at 260 characters.
func longPath(path string) string {
	abs, err := filepath.Abs(path)
	switch {
	case err != nil || strings.HasPrefix(path, `\\?\`):
		return path
	case strings.HasPrefix(abs, `\\`):
		return `\\?\UNC` + abs[1:]
	default:
		return `\\?\` + abs
	}
}
