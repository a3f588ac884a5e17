//go:build linux

package fuse

import (
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/looming-project/looming/vfs/backing"
	"golang.org/x/sys/unix"
)

// smallMax is up to how many bytes a native file that is opened for reading is
// put into the page cache at once. The open is then all that reading it asks of
// this process: no request for its bytes, and none for the attributes that
// reading makes stale.
const smallMax = 32 << 10

// smalls has buffers of one byte more than smallMax.
var smalls = sync.Pool{New: func() any { return new([smallMax + 1]byte) }}

// fill gives the page cache a small native file that nobody else has open, unless
// it has been given it before. Called under hosted.mu: a writer is let in, and a
// cut is answered, before or after.
func (h *host) fill(o *open) bool {
	if !o.h.Whole(true) {
		return false
	}
	if h.isFilled(o.id) {
		return true
	}
	if writable(o.h.File()) {
		return false
	}
	buf := smalls.Get().(*[smallMax + 1]byte)
	defer smalls.Put(buf)
	n, err := o.h.File().ReadAt(buf[:], 0)
	if err != nil || n > smallMax {
		return false
	}
	if n > 0 && h.server.InodeNotifyStoreCache(o.id, 0, buf[:n]) != fuse.OK {
		return false
	}
	h.setFilled(o.id, true)
	return true
}

// writable says whether anybody may write to the file beneath: a mapping that was
// made through the kernel's own open outlives the handle, and tells nobody. The
// kernel gives a lease for reading only where there is no such.
func writable(f *backing.File) bool {
	if _, err := unix.FcntlInt(uintptr(f.Fd()), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		return true
	}
	_, err := unix.FcntlInt(uintptr(f.Fd()), unix.F_SETLEASE, unix.F_UNLCK)
	return err != nil
}

func (h *host) isFilled(id uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.filled[id]
	return ok
}

func (h *host) setFilled(id uint64, is bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if is {
		h.filled[id] = struct{}{}
	} else {
		delete(h.filled, id)
	}
}

// cut waits until no bytes from before a change of the file's size are on their
// way to the page cache. The kernel drops those that are there once it is told
// of the change.
func (h *host) cut(id uint64) {
	t := h.hold(id)
	t.mu.Lock()
	h.setFilled(id, false)
	t.mu.Unlock()
	h.letGo(id, t)
}
