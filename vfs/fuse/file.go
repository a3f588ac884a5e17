//go:build linux

package fuse

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/ledger"
	"golang.org/x/sys/unix"
)

// Open opens a file.
func (h *host) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	ctx, end := h.asks(cancel, &in.InHeader)
	defer end()
	if h.reopened(&in.InHeader, out) {
		return fuse.OK
	}
	n := h.node(&in.InHeader)
	f, err := h.f.Open(ctx, n, int(in.Flags))
	if err != nil {
		return h.status("open", err)
	}
	h.opened(n, f, &in.InHeader, int(in.Flags), out)
	return fuse.OK
}

// Create makes a file and opens it.
func (h *host) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	ctx, end := wait(cancel, &in.InHeader)
	defer end()
	parent := h.node(&in.InHeader)
	mode := h.masked(parent, in.Mode&0o7777, in.Umask)
	return h.once(&in.InHeader, ledger.Change{Kind: ledger.Making, Name: name}, func() fuse.Status {
		n, a, f, err := h.f.Create(ctx, parent, name, int(in.Flags), mode, owner(&in.InHeader))
		if err != nil {
			return h.status("create", err)
		}
		h.entry(&out.EntryOut, n, &a)
		h.opened(n, f, &in.InHeader, int(in.Flags), &out.OpenOut)
		return fuse.OK
	}, func() fuse.Status { return h.created(in, name, mode, out) })
}

// created answers for a file that was made before, and opened or not.
func (h *host) created(in *fuse.CreateIn, name string, mode uint32, out *fuse.CreateOut) fuse.Status {
	if st := h.made(&in.InHeader, name, mode, &out.EntryOut); !st.Ok() || h.reopened(&in.InHeader, &out.OpenOut) {
		return st
	}
	n := h.f.Node(out.NodeId)
	f, err := h.f.Reopen(n, int(in.Flags), false)
	if err != nil {
		return h.status("create", err)
	}
	h.opened(n, f, &in.InHeader, int(in.Flags), &out.OpenOut)
	return fuse.OK
}

// opened decides how the kernel reads and writes the file.
func (h *host) opened(n *vfs.Node, f *vfs.Handle, in *fuse.InHeader, flags int, out *fuse.OpenOut) {
	t := h.hold(n.ID())
	t.mu.Lock()
	defer t.mu.Unlock()
	o := &open{h: f, id: n.ID(), t: t, unique: in.Unique &^ resent}
	writes := flags&unix.O_ACCMODE != unix.O_RDONLY
	switch {
	case t.passed == 0 && t.cached == 0 && !writes && h.fill(o):
		out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	case t.passed > 0 || t.cached == 0 && h.passthrough.Load() && f.Whole(writes) && h.register(f, t):
		o.passed = true
		out.BackingID, out.OpenFlags = t.backing, fuse.FOPEN_PASSTHROUGH
	default:
		out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	}
	if o.passed {
		t.passed++
	} else {
		t.cached++
	}
	if o.passed || writes { // whatever the page cache was given may be outdated, or gone
		h.setFilled(o.id, false)
	}
	out.Fh = h.files.add(o)
	h.over.opened(o.id, 1)
	if h.over != nil {
		o.at = h.over.led.AddHandle(&ledger.Handle{
			ID: out.Fh, Node: o.id, Flags: uint32(flags), Passed: o.passed, Backing: out.BackingID, Unique: o.unique,
		})
	}
}

// register hands a file to the kernel, which opens it anew for each handle.
// Called under t.mu.
func (h *host) register(f *vfs.Handle, t *hosted) bool {
	id, errno := h.server.RegisterBackingFd(&fuse.BackingMap{Fd: int32(f.File().Fd())})
	if errno != 0 {
		if errno != syscall.EMFILE && errno != syscall.ENFILE {
			h.passthrough.Store(false)
			h.log.Info("the kernel takes no files over: reads and writes go through this process", "err", errno)
		}
		return false
	}
	t.backing = id
	return true
}

// Release closes a file.
func (h *host) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	o := h.files.take(in.Fh)
	if o == nil { // the process before this one closed it
		return
	}
	if h.over != nil { // first: nobody must go on with a number that the kernel forgot
		h.over.led.Remove(o.at)
	}
	t := o.t
	t.mu.Lock()
	if !o.passed {
		t.cached--
	} else if t.passed--; t.passed == 0 {
		h.server.UnregisterBackingFd(t.backing)
		t.backing = 0
	}
	t.mu.Unlock()
	h.letGo(o.id, t)
	h.over.opened(o.id, -1)
	if o.h == nil {
		return
	}
	if err := o.h.Close(); err != nil {
		h.log.Error("closing a file failed", "err", err)
	}
}

// Read reads from the disk what is there, and brings the rest.
func (h *host) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	ctx, end := h.asks(cancel, &in.InHeader)
	defer end()
	f, err := h.handle(in.Fh)
	if err != nil {
		return nil, h.status("read", err)
	}
	if f.File() == nil { // of the history
		n, err := f.ReadAt(ctx, buf[:in.Size], int64(in.Offset))
		return fuse.ReadResultData(buf[:n]), h.status("read", err)
	}
	if err := f.Ensure(ctx, int64(in.Offset), int(in.Size)); err != nil {
		return nil, h.status("read", err)
	}
	return fuse.ReadResultFd(uintptr(f.File().Fd()), int64(in.Offset), int(in.Size)), fuse.OK
}

// Write writes.
func (h *host) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	f, err := h.handle(in.Fh)
	if err != nil {
		return 0, h.status("write", err)
	}
	n, err := f.WriteAt(data, int64(in.Offset))
	return uint32(n), h.status("write", err)
}

// Flush is close(2) of one descriptor: what is written is the disk's already.
func (h *host) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

// Fsync makes a file durable.
func (h *host) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	f, err := h.handle(in.Fh)
	if err != nil {
		return h.status("fsync", err)
	}
	return h.status("fsync", f.Sync(in.FsyncFlags&1 != 0))
}

// Fallocate allocates or punches.
func (h *host) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	ctx, end := h.asks(cancel, &in.InHeader)
	defer end()
	f, err := h.handle(in.Fh)
	if err != nil {
		return h.status("fallocate", err)
	}
	return h.status("fallocate", f.Fallocate(ctx, in.Mode, int64(in.Offset), int64(in.Length)))
}

// Lseek finds data and holes.
func (h *host) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	ctx, end := wait(cancel, &in.InHeader)
	defer end()
	f, err := h.handle(in.Fh)
	if err != nil {
		return h.status("lseek", err)
	}
	at, err := f.Seek(ctx, int64(in.Offset), int(in.Whence))
	out.Offset = uint64(at)
	return h.status("lseek", err)
}
