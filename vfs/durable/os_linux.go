package durable

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const errNotDir = unix.ENOTDIR

// RenameAt is renameat2(2): names in directories that are open, with RENAME_NOREPLACE, RENAME_EXCHANGE or
// RENAME_WHITEOUT in flags. Like RenameLazy it is atomic and not yet durable.
func RenameAt(fromDir int, from string, toDir int, to string, flags uint) error {
	return linkError("rename", from, to, do(Op{Name: OpRename, Path: from, To: to}, func() error {
		return again(func() error { return unix.Renameat2(fromDir, from, toDir, to, flags) })
	}))
}

// SyncFd is SyncFile for a bare descriptor; path is for the error's text. A directory's descriptor will do as well.
func SyncFd(fd int, path string) error {
	return syncError("sync", path, do(Op{Name: OpSync, Path: path}, func() error {
		return again(func() error { return unix.Fsync(fd) })
	}))
}

// SyncDataFd is SyncData for a bare descriptor; path is for the error's text.
func SyncDataFd(fd int, path string) error {
	return syncError("sync", path, do(Op{Name: OpSync, Path: path}, func() error {
		return again(func() error { return unix.Fdatasync(fd) })
	}))
}

// StartWriteback begins to write to the disk what a file has that is not there yet, and promises nothing about when it
// will be. When it returns nil, every later change of the file sets its times, also one through a mapping: a page that
// is not on the disk yet takes stores unnoticed, and no page is left that was in that state before.
func StartWriteback(fd int) error {
	return do(Op{Name: OpStart}, func() error {
		return again(func() error {
			return unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE)
		})
	})
}

func syncData(f *os.File) error {
	return onFd(f, func(fd int) error { return unix.Fdatasync(fd) })
}

func syncFS(f *os.File) error {
	return onFd(f, func(fd int) error { return unix.Syncfs(fd) })
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil // no sync of directories here, as fsync(2) says; not a failed one
	}
	return err
}

func replace(from, to string) error {
	return again(func() error { return unix.Renameat(unix.AT_FDCWD, from, unix.AT_FDCWD, to) })
}

func noReplace(from, to string) error {
	err := rename2(from, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	info, statErr := os.Lstat(from)
	if statErr != nil || !info.Mode().IsRegular() {
		return err
	}
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}

func exchange(a, b string) error { return rename2(a, b, unix.RENAME_EXCHANGE) }

// rename2 tells a file system without the flag (EINVAL; ENOSYS from old kernels) by errors.ErrUnsupported.
func rename2(from, to string, flags uint) error {
	err := again(func() error { return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags) })
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("%w by this file system: %w", errors.ErrUnsupported, err)
	}
	return err
}

// onFd runs a system call on f's descriptor while it cannot be closed.
func onFd(f *os.File, call func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	if err := raw.Control(func(fd uintptr) { callErr = again(func() error { return call(int(fd)) }) }); err != nil {
		return err
	}
	return callErr
}

// again repeats a call that a signal interrupted, as network and FUSE file systems let happen.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
