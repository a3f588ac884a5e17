//go:build linux

package vfstest

import (
	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/cvd"
)

// System is a desktop as a program sees it. Paths are below its top, slash-separated,
// of any length, "" is the top. Errors are errno numbers, maybe wrapped.
type System interface {
	Lstat(path string) (vfs.Attr, error)
	ReadDir(path string) ([]string, error)
	Readlink(path string) (string, error)
	// Open opens a file with the flags of open(2).
	Open(path string, flags int, mode uint32) (File, error)
	Mkdir(path string, mode uint32) error
	Mknod(path string, t cvd.Type, mode, major, minor uint32) error
	Symlink(target, path string) error
	Link(old, path string) error
	// Rename has the flags of renameat2(2).
	Rename(old, path string, flags uint32) error
	Unlink(path string) error
	Rmdir(path string) error
	Chmod(path string, mode uint32) error
	Chown(path string, uid, gid uint32) error
	// SetTimes sets the access and modification times; backing.TimeOmit as nanoseconds leaves one.
	SetTimes(path string, atime, mtime cvd.Time) error
	Truncate(path string, size uint64) error
	Getxattr(path, name string) ([]byte, error)
	Setxattr(path, name string, value []byte) error
	Removexattr(path, name string) error
	// Listxattr returns names in any order.
	Listxattr(path string) ([]string, error)
	// Space returns the room, in bytes: all of it and what is free.
	Space() (all, free uint64, err error)
}

// File is an open file.
type File interface {
	// ReadAt reads up to len(p) bytes; fewer only at the end of the file, which is no error.
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	// Write writes where the flags of Open say: at the end with O_APPEND.
	Write(p []byte) (int, error)
	Truncate(size uint64) error
	Stat() (vfs.Attr, error)
	Sync() error
	Fallocate(mode uint32, off, length int64) error
	// Seek is lseek(2) for SEEK_DATA and SEEK_HOLE.
	Seek(off int64, whence int) (int64, error)
	Close() error
}
