//go:build linux

package fuse

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/ledger"
	"golang.org/x/sys/unix"
)

// Lookup finds an entry. That there is none may be kept as well.
func (h *host) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	ctx, end := wait(cancel, in)
	defer end()
	dir := h.node(in)
	n, a, err := h.f.Lookup(ctx, dir, name)
	if errors.Is(err, syscall.ENOENT) {
		out.SetEntryTimeout(kept(dir))
		return fuse.OK
	}
	if err != nil {
		return h.status("lookup", err)
	}
	h.entry(out, n, &a)
	out.SetEntryTimeout(kept(dir))
	return fuse.OK
}

// Forget gives references back.
func (h *host) Forget(id, times uint64) {
	h.setFilled(id, false)
	if n := h.f.Node(id); n != nil {
		h.f.Forgotten(n, times)
	}
}

// GetAttr is stat.
func (h *host) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n := h.node(&in.InHeader)
	a, err := h.f.Getattr(n)
	if err != nil {
		return h.status("getattr", err)
	}
	attr(&out.Attr, &a)
	out.SetTimeout(kept(n))
	return fuse.OK
}

// SetAttr is chmod, chown, utimensat and truncate.
func (h *host) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	ctx, end := h.asks(cancel, &in.InHeader)
	defer end()
	a, err := h.f.Setattr(ctx, h.node(&in.InHeader), change(&in.SetAttrInCommon))
	if err != nil {
		return h.status("setattr", err)
	}
	if in.Valid&fuse.FATTR_SIZE != 0 {
		h.cut(in.NodeId)
	}
	attr(&out.Attr, &a)
	out.SetTimeout(keep)
	return fuse.OK
}

func change(in *fuse.SetAttrInCommon) (c vfs.Change) {
	if v, ok := in.GetMode(); ok {
		c.Mode = &v
	}
	if v, ok := in.GetUID(); ok {
		c.UID = &v
	}
	if v, ok := in.GetGID(); ok {
		c.GID = &v
	}
	if v, ok := in.GetSize(); ok {
		c.Size = &v
	}
	c.Atime = when(in.Valid, fuse.FATTR_ATIME, fuse.FATTR_ATIME_NOW, in.Atime, in.Atimensec)
	c.Mtime = when(in.Valid, fuse.FATTR_MTIME, fuse.FATTR_MTIME_NOW, in.Mtime, in.Mtimensec)
	return c
}

func when(valid, set, now uint32, sec uint64, nsec uint32) *cvd.Time {
	switch {
	case valid&now != 0:
		return &cvd.Time{Nsec: backing.TimeNow}
	case valid&set != 0:
		return &cvd.Time{Sec: int64(sec), Nsec: nsec}
	}
	return nil
}

// Readlink reads a symlink.
func (h *host) Readlink(_ <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	s, err := h.f.Readlink(h.node(in))
	return []byte(s), h.status("readlink", err)
}

// Access is answered by the kernel (default_permissions).
func (h *host) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status { return fuse.ENOSYS }

// owner is who asks.
func owner(in *fuse.InHeader) vfs.Owner { return vfs.Owner{UID: in.Uid, GID: in.Gid} }

// masked takes the caller's umask off a mode, as the kernel would: a default ACL replaces it.
func (h *host) masked(parent *vfs.Node, mode, umask uint32) uint32 {
	if _, err := h.f.Getxattr(parent, "system.posix_acl_default", nil); err == nil {
		return mode
	}
	return mode &^ umask
}

// make makes an entry, once. mode is what a change of the owner takes away.
func (h *host) make(op string, in *fuse.InHeader, name string, mode uint32, out *fuse.EntryOut, call func() (*vfs.Node, vfs.Attr, error)) fuse.Status {
	return h.once(in, ledger.Change{Kind: ledger.Making, Name: name}, func() fuse.Status {
		n, a, err := call()
		if err != nil {
			return h.status(op, err)
		}
		h.entry(out, n, &a)
		return fuse.OK
	}, func() fuse.Status { return h.made(in, name, mode, out) })
}

// Mknod makes a file, device, fifo or socket.
func (h *host) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	ctx, end := wait(cancel, &in.InHeader)
	defer end()
	parent := h.node(&in.InHeader)
	major, minor := splitdev(in.Rdev)
	mode := h.masked(parent, in.Mode&0o7777, in.Umask)
	return h.make("mknod", &in.InHeader, name, mode, out, func() (*vfs.Node, vfs.Attr, error) {
		return h.f.Mknod(ctx, parent, name, backing.ModeType(in.Mode), mode, major, minor, owner(&in.InHeader))
	})
}

// Mkdir makes a directory.
func (h *host) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	ctx, end := wait(cancel, &in.InHeader)
	defer end()
	parent := h.node(&in.InHeader)
	mode := h.masked(parent, in.Mode&0o7777, in.Umask)
	return h.make("mkdir", &in.InHeader, name, 0, out, func() (*vfs.Node, vfs.Attr, error) {
		return h.f.Mkdir(ctx, parent, name, mode, owner(&in.InHeader))
	})
}

// Symlink makes a symlink.
func (h *host) Symlink(cancel <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	ctx, end := wait(cancel, in)
	defer end()
	return h.make("symlink", in, name, 0, out, func() (*vfs.Node, vfs.Attr, error) {
		return h.f.Symlink(ctx, h.node(in), name, target, owner(in))
	})
}

// Link gives a node another name.
func (h *host) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	ctx, end := wait(cancel, &in.InHeader)
	defer end()
	return h.once(&in.InHeader, ledger.Change{Kind: ledger.Making, Name: name}, func() fuse.Status {
		n, a, err := h.f.Link(ctx, h.f.Node(in.Oldnodeid), h.node(&in.InHeader), name)
		if err != nil {
			return h.status("link", err)
		}
		h.entry(out, n, &a)
		return fuse.OK
	}, func() fuse.Status { return h.Lookup(cancel, &in.InHeader, name, out) })
}

// Unlink removes what is no directory.
func (h *host) Unlink(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	ctx, end := wait(cancel, in)
	defer end()
	return h.once(in, ledger.Change{Kind: ledger.Removing, Name: name}, func() fuse.Status {
		return h.status("unlink", h.f.Unlink(ctx, h.node(in), name))
	}, ok)
}

// Rmdir removes an empty directory.
func (h *host) Rmdir(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	ctx, end := wait(cancel, in)
	defer end()
	return h.once(in, ledger.Change{Kind: ledger.Removing, Name: name}, func() fuse.Status {
		return h.status("rmdir", h.f.Rmdir(ctx, h.node(in), name))
	}, ok)
}

// Rename moves an entry.
func (h *host) Rename(cancel <-chan struct{}, in *fuse.RenameIn, name, to string) fuse.Status {
	ctx, end := wait(cancel, &in.InHeader)
	defer end()
	c := ledger.Change{Kind: ledger.Moving, Name: name, To: in.Newdir, ToName: to}
	if in.Flags&unix.RENAME_EXCHANGE != 0 {
		c.Kind = ledger.Exchanging
	}
	return h.once(&in.InHeader, c, func() fuse.Status {
		return h.status("rename", h.f.Rename(ctx, h.node(&in.InHeader), name, h.f.Node(in.Newdir), to, in.Flags))
	}, ok)
}

// StatFs is the room beneath.
func (h *host) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	s, err := h.f.Space()
	if err != nil {
		return h.status("statfs", err)
	}
	*out = fuse.StatfsOut{
		Blocks: s.Blocks, Bfree: s.Free, Bavail: s.Avail, Files: s.Files, Ffree: s.FilesFree,
		Bsize: s.BlockSize, Frsize: s.BlockSize, NameLen: s.NameMax,
	}
	return fuse.OK
}
