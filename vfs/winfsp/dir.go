//go:build windows || cgo

package winfsp

import (
	"errors"
	"io"
	"io/fs"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/winfsp/cgofuse/fuse"
)

// none is the number of no handle.
const none = ^uint64(0)

// Opendir opens a directory, listing it if nobody has.
func (h *host) Opendir(path string) (int, uint64) {
	n, err := h.find(path)
	if err != nil {
		return h.errno("opendir", err), none
	}
	d, err := h.f.OpenDir(background(), n)
	if err != nil {
		h.f.Forget(n, 1)
		return h.errno("opendir", err), none
	}
	return 0, h.dirs.add(&openDir{h: d, n: n})
}

// Releasedir closes it.
func (h *host) Releasedir(_ string, fh uint64) int {
	d, ok := h.dirs.take(fh)
	if !ok {
		return -fuse.EBADF
	}
	_ = d.h.Close() // a handle for reading: nothing can be lost
	h.f.Forget(d.n, 1)
	return 0
}

// Fsyncdir makes entries durable.
func (h *host) Fsyncdir(_ string, _ bool, fh uint64) int {
	d, ok := h.dirs.get(fh)
	if !ok {
		return -fuse.EBADF
	}
	return h.errno("fsyncdir", d.h.Sync())
}

// Readdir lists names with attributes: WinFsp wants them, and libfuse takes types
// and inode numbers from them. It lists all of them at once: WinFsp keeps no
// offsets, and libfuse's have no room for a disk's own beside those of "." and "..".
func (h *host) Readdir(_ string, fill func(string, *fuse.Stat_t, int64) bool, _ int64, fh uint64) int {
	d, ok := h.dirs.get(fh)
	if !ok {
		return -fuse.EBADF
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.h.SeekTo(0); err != nil {
		return h.errno("readdir", err)
	}
	if !fill(".", nil, 0) || !fill("..", nil, 0) {
		return -fuse.ENOMEM
	}
	for {
		e, err := d.h.Next()
		if errors.Is(err, io.EOF) {
			return 0
		}
		if err == nil {
			err = h.fill(d, &e, fill)
		}
		if err != nil {
			return h.errno("readdir", err)
		}
	}
}

func (h *host) fill(d *openDir, e *backing.DirEntry, fill func(string, *fuse.Stat_t, int64) bool) error {
	st := fuse.Stat_t{Ino: e.Ino, Mode: backing.TypeMode(e.Type)}
	if withAttributes {
		n, a, err := d.h.Child(e.Name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err != nil {
			return err
		}
		h.f.Forget(n, 1)
		st = stat(&a)
	}
	if !fill(e.Name, &st, 0) {
		return errno(fuse.ENOMEM)
	}
	return nil
}
