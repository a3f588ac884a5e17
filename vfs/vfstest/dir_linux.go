package vfstest

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sys/unix"
)

// Dir is a directory of this machine as a System: a mount, or a backing directory that is native.
type Dir string

// step is how much of a path one system call gets.
const step = 2000

// in opens the directory that holds p, whose path may be longer than the kernel takes.
func (d Dir) in(p string, call func(dir *backing.Dir, fd int, name string) error) error {
	fd, err := unix.Open(string(d), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for rest := parent(p); rest != ""; {
		part := rest
		if len(part) > step {
			part = part[:strings.LastIndexByte(part[:step], '/')]
		}
		rest = strings.TrimPrefix(rest[len(part):], "/")
		next, err := unix.Openat(fd, part, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		_ = unix.Close(fd)
		if err != nil {
			return err
		}
		fd = next
	}
	defer unix.Close(fd)
	dir, err := backing.OpenDir(procPath(fd))
	if err != nil {
		return err
	}
	defer dir.Close()
	name := path.Base(p)
	if p == "" {
		name = "."
	}
	return call(dir, fd, name)
}

func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// Lstat implements System.
func (d Dir) Lstat(p string) (a vfs.Attr, err error) {
	err = d.in(p, func(dir *backing.Dir, _ int, name string) (err error) {
		a, err = dir.Stat(name)
		return err
	})
	return a, err
}

// ReadDir implements System.
func (d Dir) ReadDir(p string) (names []string, err error) {
	err = d.in(p, func(_ *backing.Dir, fd int, name string) error {
		sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(sub), p)
		defer f.Close()
		names, err = f.Readdirnames(-1)
		return err
	})
	return names, err
}

// Readlink implements System.
func (d Dir) Readlink(p string) (s string, err error) {
	err = d.in(p, func(dir *backing.Dir, _ int, name string) (err error) {
		s, err = dir.Readlink(name)
		return err
	})
	return s, err
}

// Open implements System.
func (d Dir) Open(p string, flags int, mode uint32) (f File, err error) {
	err = d.in(p, func(_ *backing.Dir, fd int, name string) error {
		h, err := retry(func() (int, error) {
			return unix.Openat(fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		})
		if err == nil {
			f = &dirFile{os.NewFile(uintptr(h), p)}
		}
		return err
	})
	return f, err
}

func retry(f func() (int, error)) (int, error) {
	for {
		if n, err := f(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// Mkdir implements System.
func (d Dir) Mkdir(p string, mode uint32) error {
	return d.in(p, func(dir *backing.Dir, _ int, name string) error { return dir.Mkdir(name, mode) })
}

// Mknod implements System.
func (d Dir) Mknod(p string, t cvd.Type, mode, major, minor uint32) error {
	return d.in(p, func(dir *backing.Dir, _ int, name string) error { return dir.Mknod(name, t, mode, major, minor) })
}

// Symlink implements System.
func (d Dir) Symlink(target, p string) error {
	return d.in(p, func(dir *backing.Dir, _ int, name string) error { return dir.Symlink(target, name) })
}

// Link implements System.
func (d Dir) Link(old, p string) error {
	return d.in(old, func(from *backing.Dir, _ int, name string) error {
		return d.in(p, func(to *backing.Dir, _ int, toName string) error { return from.Link(name, to, toName) })
	})
}

// Rename implements System.
func (d Dir) Rename(old, p string, flags uint32) error {
	return d.in(old, func(from *backing.Dir, _ int, name string) error {
		return d.in(p, func(to *backing.Dir, _ int, toName string) error { return from.Rename(name, to, toName, flags) })
	})
}

// Unlink implements System.
func (d Dir) Unlink(p string) error {
	return d.in(p, func(dir *backing.Dir, _ int, name string) error { return dir.Unlink(name) })
}

// Rmdir implements System.
func (d Dir) Rmdir(p string) error {
	return d.in(p, func(dir *backing.Dir, _ int, name string) error { return dir.Rmdir(name) })
}

// Chmod implements System.
func (d Dir) Chmod(p string, mode uint32) error {
	return d.in(p, func(dir *backing.Dir, _ int, name string) error { return dir.Chmod(name, mode) })
}

// Chown implements System.
func (d Dir) Chown(p string, uid, gid uint32) error {
	return d.in(p, func(dir *backing.Dir, _ int, name string) error { return dir.Chown(name, int(uid), int(gid)) })
}

// SetTimes implements System.
func (d Dir) SetTimes(p string, atime, mtime cvd.Time) error {
	return d.in(p, func(dir *backing.Dir, _ int, name string) error { return dir.SetTimes(name, atime, mtime) })
}

// Truncate implements System.
func (d Dir) Truncate(p string, size uint64) error {
	return d.in(p, func(_ *backing.Dir, fd int, name string) error {
		return unix.Truncate(procPath(fd)+"/"+name, int64(size))
	})
}

// Getxattr implements System.
func (d Dir) Getxattr(p, name string) (value []byte, err error) {
	err = d.in(p, func(dir *backing.Dir, _ int, base string) error {
		buf := make([]byte, 64<<10)
		size, err := dir.Getxattr(base, name, buf)
		value = buf[:max(size, 0)]
		return err
	})
	return value, err
}

// Setxattr implements System.
func (d Dir) Setxattr(p, name string, value []byte) error {
	return d.in(p, func(dir *backing.Dir, _ int, base string) error { return dir.Setxattr(base, name, value, 0) })
}

// Removexattr implements System.
func (d Dir) Removexattr(p, name string) error {
	return d.in(p, func(dir *backing.Dir, _ int, base string) error { return dir.Removexattr(base, name) })
}

// Listxattr implements System.
func (d Dir) Listxattr(p string) (names []string, err error) {
	err = d.in(p, func(dir *backing.Dir, _ int, base string) error {
		buf := make([]byte, 64<<10)
		size, err := dir.Listxattr(base, buf)
		for name := range strings.SplitSeq(string(buf[:max(size, 0)]), "\x00") {
			if name != "" {
				names = append(names, name)
			}
		}
		return err
	})
	return names, err
}

// Space implements System.
func (d Dir) Space() (all, free uint64, err error) {
	var st unix.Statfs_t
	err = unix.Statfs(string(d), &st)
	return st.Blocks * uint64(st.Bsize), st.Bavail * uint64(st.Bsize), err
}

type dirFile struct{ *os.File }

func (f *dirFile) fd() int { return int(f.Fd()) }

func (f *dirFile) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := retry(func() (int, error) { return unix.Pread(f.fd(), p[n:], off+int64(n)) })
		if err != nil || m == 0 {
			return n, err
		}
		n += m
	}
	return n, nil
}

func (f *dirFile) WriteAt(p []byte, off int64) (int, error) {
	return retry(func() (int, error) { return unix.Pwrite(f.fd(), p, off) })
}

func (f *dirFile) Truncate(size uint64) error { return unix.Ftruncate(f.fd(), int64(size)) }

func (f *dirFile) Stat() (vfs.Attr, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd(), &st); err != nil {
		return vfs.Attr{}, err
	}
	return vfs.Attr{Ino: st.Ino, Size: uint64(st.Size), Nlink: uint32(st.Nlink), Mode: st.Mode & 0o7777}, nil
}

func (f *dirFile) Fallocate(mode uint32, off, length int64) error {
	return unix.Fallocate(f.fd(), mode, off, length)
}

func (f *dirFile) Seek(off int64, whence int) (int64, error) { return unix.Seek(f.fd(), off, whence) }
