//go:build windows || cgo

package winfsp

import (
	"os"

	"github.com/looming-project/looming/vfs"
	"github.com/winfsp/cgofuse/fuse"
)

// Open opens a file.
func (h *host) Open(path string, flags int) (int, uint64) {
	n, err := h.find(path)
	if err != nil {
		return h.errno("open", err), none
	}
	f, err := h.f.Open(background(), n, osFlags(flags))
	if err != nil {
		h.f.Forget(n, 1)
		return h.errno("open", err), none
	}
	return 0, h.files.add(&open{h: f, n: n, append: flags&fuse.O_APPEND != 0})
}

// Create makes a file and opens it.
func (h *host) Create(path string, flags int, mode uint32) (int, uint64) {
	uid, gid, _ := fuse.Getcontext()
	fh := none
	e := h.in("create", path, func(d *vfs.Node, name string) error {
		n, _, f, err := h.f.Create(background(), d, name, osFlags(flags), mode&0o7777, owner(uid, gid))
		if err == nil {
			fh = h.files.add(&open{h: f, n: n, append: flags&fuse.O_APPEND != 0})
		}
		return err
	})
	return e, fh
}

// osFlags are the flags as the core has them: cgofuse's are the system's own.
func osFlags(flags int) int {
	out := os.O_RDONLY
	switch flags & fuse.O_ACCMODE {
	case fuse.O_WRONLY:
		out = os.O_WRONLY
	case fuse.O_RDWR:
		out = os.O_RDWR
	}
	if flags&fuse.O_TRUNC != 0 {
		out |= os.O_TRUNC
	}
	return out
}

// Release closes a file.
func (h *host) Release(_ string, fh uint64) int {
	o, ok := h.files.take(fh)
	if !ok {
		return -fuse.EBADF
	}
	err := o.h.Close()
	h.f.Forget(o.n, 1)
	return h.errno("release", err)
}

// Truncate sets a file's size.
func (h *host) Truncate(path string, size int64, fh uint64) int {
	to := uint64(size)
	c := vfs.Change{Size: &to}
	if o, ok := h.files.get(fh); ok {
		return h.errno("truncate", h.set(o.n, c))
	}
	return h.change("truncate", path, c)
}

// Read reads; it returns fewer bytes only at the end of the file.
func (h *host) Read(_ string, buf []byte, off int64, fh uint64) int {
	o, ok := h.files.get(fh)
	if !ok {
		return -fuse.EBADF
	}
	n, err := o.h.ReadAt(background(), buf, off)
	if err != nil {
		return h.errno("read", err)
	}
	return n
}

// Write writes.
func (h *host) Write(_ string, data []byte, off int64, fh uint64) int {
	o, ok := h.files.get(fh)
	if !ok {
		return -fuse.EBADF
	}
	n, err := o.write(h, data, off)
	if err != nil {
		return h.errno("write", err)
	}
	return n
}

// write writes at off, or at the end of a file that is open for appending: the
// kernel's idea of the end may be older than another's write.
func (o *open) write(h *host, data []byte, off int64) (int, error) {
	if !o.append {
		return o.h.WriteAt(data, off)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	a, err := h.f.Getattr(o.n)
	if err != nil {
		return 0, err
	}
	return o.h.WriteAt(data, int64(a.Size))
}

// Flush is one close of several: what is written is the disk's already.
func (h *host) Flush(string, uint64) int { return 0 }

// Fsync makes a file durable.
func (h *host) Fsync(_ string, data bool, fh uint64) int {
	o, ok := h.files.get(fh)
	if !ok {
		return -fuse.EBADF
	}
	return h.errno("fsync", o.h.Sync(data))
}
