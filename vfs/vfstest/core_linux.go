package vfstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/fetch"
)

// Core is the core as a System, without a mount.
type Core struct {
	F *vfs.FS
}

var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{fetch.ErrOffline, syscall.ENETUNREACH},
	{chunk.ErrNotFound, syscall.EIO},
	{chunk.ErrDamaged, syscall.EIO},
	{cvd.ErrFormat, syscall.EIO},
}

// number adds the errno that a host would answer.
func number(err error) error {
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			return fmt.Errorf("%w (%w)", e.errno, err)
		}
	}
	return err
}

func (c Core) find(p string) (*vfs.Node, error) {
	n := c.F.Root()
	for name := range strings.SplitSeq(p, "/") {
		if name == "" {
			continue
		}
		next, _, err := c.F.Lookup(context.Background(), n, name)
		c.F.Forget(n, 1)
		if err != nil {
			return nil, number(err)
		}
		n = next
	}
	return n, nil
}

func (c Core) at(p string, call func(*vfs.Node) error) error {
	n, err := c.find(p)
	if err != nil {
		return err
	}
	defer c.F.Forget(n, 1)
	return number(call(n))
}

func (c Core) in(p string, call func(*vfs.Node, string) error) error {
	return c.at(parent(p), func(n *vfs.Node) error { return call(n, path.Base(p)) })
}

// made gives back what a call that makes an entry returned.
func (c Core) made(n *vfs.Node, _ vfs.Attr, err error) error {
	if err == nil {
		c.F.Forget(n, 1)
	}
	return err
}

var super = vfs.Owner{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}

// Lstat implements System.
func (c Core) Lstat(p string) (a vfs.Attr, err error) {
	err = c.at(p, func(n *vfs.Node) (err error) {
		a, err = c.F.Getattr(n)
		return err
	})
	return a, err
}

// ReadDir implements System.
func (c Core) ReadDir(p string) (names []string, err error) {
	err = c.at(p, func(n *vfs.Node) error {
		h, err := c.F.OpenDir(context.Background(), n)
		if err != nil {
			return err
		}
		defer h.Close()
		for {
			e, err := h.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			names = append(names, e.Name)
		}
	})
	return names, err
}

// Readlink implements System.
func (c Core) Readlink(p string) (s string, err error) {
	err = c.at(p, func(n *vfs.Node) (err error) {
		s, err = c.F.Readlink(n)
		return err
	})
	return s, err
}

// Open implements System.
func (c Core) Open(p string, flags int, mode uint32) (File, error) {
	n, err := c.find(p)
	if errors.Is(err, fs.ErrNotExist) && flags&os.O_CREATE != 0 {
		var f *coreFile
		err := c.in(p, func(dir *vfs.Node, name string) error {
			n, _, h, err := c.F.Create(context.Background(), dir, name, flags, mode, super)
			f = &coreFile{f: c.F, n: n, h: h, append: flags&os.O_APPEND != 0}
			return err
		})
		return f, err
	}
	if err != nil {
		return nil, err
	}
	if flags&os.O_EXCL != 0 {
		c.F.Forget(n, 1)
		return nil, syscall.EEXIST
	}
	h, err := c.F.Open(context.Background(), n, flags)
	if err != nil {
		c.F.Forget(n, 1)
		return nil, number(err)
	}
	return &coreFile{f: c.F, n: n, h: h, append: flags&os.O_APPEND != 0}, nil
}

// Mkdir implements System.
func (c Core) Mkdir(p string, mode uint32) error {
	return c.in(p, func(dir *vfs.Node, name string) error {
		return c.made(c.F.Mkdir(context.Background(), dir, name, mode, super))
	})
}

// Mknod implements System.
func (c Core) Mknod(p string, t cvd.Type, mode, major, minor uint32) error {
	return c.in(p, func(dir *vfs.Node, name string) error {
		return c.made(c.F.Mknod(context.Background(), dir, name, t, mode, major, minor, super))
	})
}

// Symlink implements System.
func (c Core) Symlink(target, p string) error {
	return c.in(p, func(dir *vfs.Node, name string) error {
		return c.made(c.F.Symlink(context.Background(), dir, name, target, super))
	})
}

// Link implements System.
func (c Core) Link(old, p string) error {
	return c.at(old, func(n *vfs.Node) error {
		return c.in(p, func(dir *vfs.Node, name string) error {
			return c.made(c.F.Link(context.Background(), n, dir, name))
		})
	})
}

// Rename implements System.
func (c Core) Rename(old, p string, flags uint32) error {
	return c.in(old, func(from *vfs.Node, name string) error {
		return c.in(p, func(to *vfs.Node, toName string) error {
			return c.F.Rename(context.Background(), from, name, to, toName, flags)
		})
	})
}

// Unlink implements System.
func (c Core) Unlink(p string) error {
	return c.in(p, func(dir *vfs.Node, name string) error { return c.F.Unlink(context.Background(), dir, name) })
}

// Rmdir implements System.
func (c Core) Rmdir(p string) error {
	return c.in(p, func(dir *vfs.Node, name string) error { return c.F.Rmdir(context.Background(), dir, name) })
}

func (c Core) set(p string, change vfs.Change) error {
	return c.at(p, func(n *vfs.Node) error {
		_, err := c.F.Setattr(context.Background(), n, change)
		return err
	})
}

// Chmod implements System.
func (c Core) Chmod(p string, mode uint32) error { return c.set(p, vfs.Change{Mode: &mode}) }

// Chown implements System.
func (c Core) Chown(p string, uid, gid uint32) error {
	return c.set(p, vfs.Change{UID: &uid, GID: &gid})
}

// SetTimes implements System.
func (c Core) SetTimes(p string, atime, mtime cvd.Time) error {
	var change vfs.Change
	if atime.Nsec != backing.TimeOmit {
		change.Atime = &atime
	}
	if mtime.Nsec != backing.TimeOmit {
		change.Mtime = &mtime
	}
	return c.set(p, change)
}

// Truncate implements System.
func (c Core) Truncate(p string, size uint64) error { return c.set(p, vfs.Change{Size: &size}) }

// Getxattr implements System.
func (c Core) Getxattr(p, name string) (value []byte, err error) {
	err = c.at(p, func(n *vfs.Node) error {
		buf := make([]byte, 64<<10)
		size, err := c.F.Getxattr(n, name, buf)
		value = buf[:max(size, 0)]
		return err
	})
	return value, err
}

// Setxattr implements System.
func (c Core) Setxattr(p, name string, value []byte) error {
	return c.at(p, func(n *vfs.Node) error { return c.F.Setxattr(context.Background(), n, name, value, 0) })
}

// Removexattr implements System.
func (c Core) Removexattr(p, name string) error {
	return c.at(p, func(n *vfs.Node) error { return c.F.Removexattr(context.Background(), n, name) })
}

// Listxattr implements System.
func (c Core) Listxattr(p string) (names []string, err error) {
	err = c.at(p, func(n *vfs.Node) (err error) {
		names, err = c.F.Listxattr(n)
		return err
	})
	return names, err
}

// Space implements System.
func (c Core) Space() (all, free uint64, err error) {
	s, err := c.F.Space()
	return s.Blocks * uint64(s.BlockSize), s.Avail * uint64(s.BlockSize), err
}

type coreFile struct {
	f      *vfs.FS
	n      *vfs.Node
	h      *vfs.Handle
	append bool
}

func (f *coreFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.h.ReadAt(context.Background(), p, off)
	return n, number(err)
}

func (f *coreFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.h.WriteAt(p, off)
	return n, number(err)
}

// appending is the lock that a kernel has for each file.
var appending sync.Mutex

func (f *coreFile) Write(p []byte) (int, error) {
	appending.Lock()
	defer appending.Unlock()
	if !f.append {
		return 0, syscall.EINVAL
	}
	a, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return f.WriteAt(p, int64(a.Size))
}

func (f *coreFile) Truncate(size uint64) error {
	_, err := f.f.Setattr(context.Background(), f.n, vfs.Change{Size: &size})
	return number(err)
}

func (f *coreFile) Stat() (vfs.Attr, error) { return f.f.Getattr(f.n) }
func (f *coreFile) Sync() error             { return f.h.Sync(false) }

func (f *coreFile) Fallocate(mode uint32, off, length int64) error {
	return number(f.h.Fallocate(context.Background(), mode, off, length))
}

func (f *coreFile) Seek(off int64, whence int) (int64, error) {
	return f.h.Seek(context.Background(), off, whence)
}

func (f *coreFile) Close() error {
	err := f.h.Close()
	f.f.Forget(f.n, 1)
	return err
}
