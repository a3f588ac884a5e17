//go:build linux

package fuse

import (
	"errors"
	"io"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/ledger"
)

// OpenDir opens a directory, listing it if nobody has.
func (h *host) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	ctx, end := wait(cancel, &in.InHeader)
	defer end()
	n := h.node(&in.InHeader)
	d, err := h.f.OpenDir(ctx, n)
	if err != nil {
		return h.status("opendir", err)
	}
	o := &openDir{h: d, n: n}
	out.Fh = h.dirs.add(o)
	if h.over != nil {
		o.ledgerAt = h.over.led.AddHandle(&ledger.Handle{ID: out.Fh, Node: n.ID(), Dir: true, Unique: in.Unique &^ resent})
	}
	if !n.Fleeting() {
		out.OpenFlags = fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE
	}
	return fuse.OK
}

// ReleaseDir closes it.
func (h *host) ReleaseDir(in *fuse.ReleaseIn) {
	d := h.dirs.take(in.Fh)
	if d == nil { // the process before this one closed it
		return
	}
	if h.over != nil {
		h.over.led.Remove(d.ledgerAt)
	}
	if d.h != nil {
		_ = d.h.Close() // a descriptor for reading: nothing can be lost
	}
}

// FsyncDir makes entries durable.
func (h *host) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	d := h.dirs.get(in.Fh)
	if d == nil || d.h == nil {
		return h.status("fsyncdir", vfs.ErrStale)
	}
	return h.status("fsyncdir", d.h.Sync())
}

// ReadDir lists names.
func (h *host) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return h.readDir(in, func(_ *openDir, e *backing.DirEntry) (bool, error) {
		return out.AddDirEntry(dirEntry(e)), nil
	})
}

// ReadDirPlus lists names with what they stand for.
func (h *host) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return h.readDir(in, func(d *openDir, e *backing.DirEntry) (bool, error) {
		if len(out.Bytes())+entrySize+len(e.Name) > int(in.Size) {
			return false, nil
		}
		if d.n.Fleeting() { // names alone: to look at each may take a while
			return out.AddDirLookupEntry(dirEntry(e)) != nil, nil
		}
		n, a, err := d.h.Child(e.Name)
		if err != nil {
			return true, err
		}
		slot := out.AddDirLookupEntry(dirEntry(e))
		if slot == nil {
			h.f.Forget(n, 1)
			return false, nil
		}
		h.entry(slot, n, &a)
		return true, nil
	})
}

// entrySize is at least what an entry of READDIRPLUS takes besides its name.
const entrySize = 128 + 24 + 8

func dirEntry(e *backing.DirEntry) fuse.DirEntry {
	return fuse.DirEntry{Name: e.Name, Ino: e.Ino, Mode: backing.TypeMode(e.Type), Off: uint64(e.Next)}
}

func (h *host) readDir(in *fuse.ReadIn, add func(*openDir, *backing.DirEntry) (bool, error)) fuse.Status {
	d := h.dirs.get(in.Fh)
	if d == nil || d.h == nil {
		return h.status("readdir", vfs.ErrStale)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if in.Offset != d.at {
		if err := d.h.SeekTo(int64(in.Offset)); err != nil {
			return h.status("readdir", err)
		}
		d.left, d.at = nil, in.Offset
	}
	for {
		e, err := d.next()
		if errors.Is(err, io.EOF) {
			return fuse.OK
		}
		if err != nil {
			return h.status("readdir", err)
		}
		fits, err := add(d, e)
		if err == nil && !fits {
			d.left = e
			return fuse.OK
		}
		d.at = uint64(e.Next) // an entry that is gone meanwhile is left out
	}
}

func (d *openDir) next() (*backing.DirEntry, error) {
	if e := d.left; e != nil {
		d.left = nil
		return e, nil
	}
	e, err := d.h.Next()
	return &e, err
}
