//go:build windows || cgo

package winfsp

import (
	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/winfsp/cgofuse/fuse"
)

// Statfs is the room beneath.
func (h *host) Statfs(_ string, out *fuse.Statfs_t) int {
	s, err := h.f.Space()
	if err != nil {
		return h.errno("statfs", err)
	}
	*out = fuse.Statfs_t{
		Bsize: uint64(s.BlockSize), Frsize: uint64(s.BlockSize), Blocks: s.Blocks, Bfree: s.Free, Bavail: s.Avail,
		Files: s.Files, Ffree: s.FilesFree, Favail: s.FilesFree, Namemax: uint64(s.NameMax),
	}
	return 0
}

// Getattr is stat.
func (h *host) Getattr(path string, out *fuse.Stat_t, fh uint64) int {
	if o, ok := h.files.get(fh); ok {
		return h.errno("getattr", h.stat(o.n, out))
	}
	return h.at("getattr", path, func(n *vfs.Node) error { return h.stat(n, out) })
}

func (h *host) stat(n *vfs.Node, out *fuse.Stat_t) error {
	a, err := h.f.Getattr(n)
	if err == nil {
		*out = stat(&a)
	}
	return err
}

func stat(a *vfs.Attr) fuse.Stat_t {
	return fuse.Stat_t{
		Ino: a.Ino, Mode: backing.TypeMode(a.Type) | a.Mode, Nlink: a.Nlink, Uid: a.UID, Gid: a.GID,
		Rdev: makedev(a.Major, a.Minor), Size: int64(a.Size), Blksize: int64(a.BlockSize), Blocks: int64(a.Blocks),
		Atim: timespec(a.Atime), Mtim: timespec(a.Mtime), Ctim: timespec(a.Ctime), Birthtim: timespec(a.Ctime),
	}
}

func timespec(t cvd.Time) fuse.Timespec { return fuse.Timespec{Sec: t.Sec, Nsec: int64(t.Nsec)} }

// makedev packs a device number as the C library does, in 32 bits.
func makedev(major, minor uint32) uint64 {
	return uint64(minor&0xff | major<<8 | minor&^0xff<<12)
}

func splitdev(dev uint64) (major, minor uint32) {
	return uint32(dev >> 8 & 0xfff), uint32(dev&0xff | dev>>12&0xfff00)
}

// Mknod makes a file, device, fifo or socket.
func (h *host) Mknod(path string, mode uint32, dev uint64) int {
	major, minor := splitdev(dev)
	return h.make("mknod", path, func(d *vfs.Node, name string, o vfs.Owner) (*vfs.Node, vfs.Attr, error) {
		return h.f.Mknod(background(), d, name, backing.ModeType(mode), mode&0o7777, major, minor, o)
	})
}

// Mkdir makes a directory.
func (h *host) Mkdir(path string, mode uint32) int {
	return h.make("mkdir", path, func(d *vfs.Node, name string, o vfs.Owner) (*vfs.Node, vfs.Attr, error) {
		return h.f.Mkdir(background(), d, name, mode&0o7777, o)
	})
}

// Symlink makes a symlink.
func (h *host) Symlink(target, path string) int {
	return h.make("symlink", path, func(d *vfs.Node, name string, o vfs.Owner) (*vfs.Node, vfs.Attr, error) {
		return h.f.Symlink(background(), d, name, target, o)
	})
}

// Link gives a file another name.
func (h *host) Link(old, path string) int {
	return h.at("link", old, func(n *vfs.Node) error {
		if e := h.make("link", path, func(d *vfs.Node, name string, _ vfs.Owner) (*vfs.Node, vfs.Attr, error) {
			return h.f.Link(background(), n, d, name)
		}); e != 0 {
			return errno(-e)
		}
		return nil
	})
}

// Readlink reads a symlink.
func (h *host) Readlink(path string) (int, string) {
	var target string
	e := h.at("readlink", path, func(n *vfs.Node) (err error) {
		target, err = h.f.Readlink(n)
		return err
	})
	return e, target
}

// Unlink removes what is no directory.
func (h *host) Unlink(path string) int {
	return h.in("unlink", path, func(d *vfs.Node, name string) error { return h.f.Unlink(background(), d, name) })
}

// Rmdir removes an empty directory.
func (h *host) Rmdir(path string) int {
	return h.in("rmdir", path, func(d *vfs.Node, name string) error { return h.f.Rmdir(background(), d, name) })
}

// Rename moves an entry.
func (h *host) Rename(old, path string) int { return h.Rename3(old, path, 0) }

// Rename3 moves an entry; flags are renameat2's.
func (h *host) Rename3(old, path string, flags uint32) int {
	return h.in("rename", old, func(from *vfs.Node, name string) error {
		if e := h.in("rename", path, func(to *vfs.Node, toName string) error {
			return h.f.Rename(background(), from, name, to, toName, flags)
		}); e != 0 {
			return errno(-e)
		}
		return nil
	})
}

func (h *host) change(op, path string, c vfs.Change) int {
	return h.at(op, path, func(n *vfs.Node) error { return h.set(n, c) })
}

func (h *host) set(n *vfs.Node, c vfs.Change) error {
	_, err := h.f.Setattr(background(), n, c)
	return err
}

// Chmod sets the permission bits.
func (h *host) Chmod(path string, mode uint32) int {
	return h.change("chmod", path, vfs.Change{Mode: &mode})
}

// Chown sets the owners; all ones leave one as it is.
func (h *host) Chown(path string, uid, gid uint32) int {
	var c vfs.Change
	if uid != ^uint32(0) {
		c.UID = &uid
	}
	if gid != ^uint32(0) {
		c.GID = &gid
	}
	return h.change("chown", path, c)
}

// Utimens sets the access and modification times; none means now.
func (h *host) Utimens(path string, ts []fuse.Timespec) int {
	now := cvd.Time{Nsec: backing.TimeNow}
	atime, mtime := now, now
	if len(ts) == 2 {
		atime, mtime = cvd.Time{Sec: ts[0].Sec, Nsec: uint32(ts[0].Nsec)}, cvd.Time{Sec: ts[1].Sec, Nsec: uint32(ts[1].Nsec)}
	}
	return h.change("utimens", path, vfs.Change{Atime: &atime, Mtime: &mtime})
}

// Access is answered by the kernel.
func (h *host) Access(string, uint32) int { return 0 }

// Getxattr reads an extended attribute.
func (h *host) Getxattr(path, name string) (int, []byte) {
	var value []byte
	e := h.at("getxattr", path, func(n *vfs.Node) error {
		size, err := h.f.Getxattr(n, name, nil)
		if err != nil {
			return err
		}
		value = make([]byte, size+256)
		size, err = h.f.Getxattr(n, name, value)
		value = value[:max(size, 0)]
		return err
	})
	return e, value
}

// Setxattr sets an extended attribute.
func (h *host) Setxattr(path, name string, value []byte, flags int) int {
	return h.at("setxattr", path, func(n *vfs.Node) error { return h.f.Setxattr(background(), n, name, value, flags) })
}

// Removexattr removes an extended attribute.
func (h *host) Removexattr(path, name string) int {
	return h.at("removexattr", path, func(n *vfs.Node) error { return h.f.Removexattr(background(), n, name) })
}

// Listxattr lists the names of extended attributes.
func (h *host) Listxattr(path string, fill func(string) bool) int {
	var names []string
	e := h.at("listxattr", path, func(n *vfs.Node) (err error) {
		names, err = h.f.Listxattr(n)
		return err
	})
	for _, name := range names {
		if !fill(name) {
			return -fuse.ERANGE
		}
	}
	return e
}
