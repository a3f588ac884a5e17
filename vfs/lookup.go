package vfs

import (
	"context"
	"errors"
	"io"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/history"
)

// Lookup finds what dir holds under name.
func (f *FS) Lookup(ctx context.Context, dir *Node, name string) (*Node, Attr, error) {
	if dir.past != nil {
		return f.lookupPast(ctx, dir, name)
	}
	n, a, err := f.lookup(ctx, dir, name)
	if f.past != nil && dir == f.root && name == history.Name {
		return f.lookupTop(n, a, err)
	}
	return n, a, err
}

// lookup is Lookup on the disk.
func (f *FS) lookup(ctx context.Context, dir *Node, name string) (*Node, Attr, error) {
	if err := f.ensureListed(ctx, dir); err != nil {
		return nil, Attr{}, err
	}
	f.trim()
	f.names.RLock()
	defer f.names.RUnlock()
	d, err := f.dir(dir)
	if err != nil {
		return nil, Attr{}, err
	}
	return f.childLocked(dir, d, name)
}

// child is Lookup in a directory that is listed.
func (f *FS) child(parent *Node, d *backing.Dir, name string) (*Node, Attr, error) {
	f.names.RLock()
	defer f.names.RUnlock()
	return f.childLocked(parent, d, name)
}

func (f *FS) childLocked(parent *Node, d *backing.Dir, name string) (*Node, Attr, error) {
	a, err := d.Stat(name)
	if err != nil {
		return nil, a, err
	}
	n := f.node(parent, name, &a, nil)
	f.adjust(n, backing.Ref{Dir: d, Name: name}, &a)
	return n, a, nil
}

// each calls fn for every entry of a listed directory.
func (f *FS) each(n *Node, fn func(*backing.Dir, backing.DirEntry) error) error {
	r, err := f.reader(n)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = fn(r.Dir(), e)
		}
		if err != nil {
			return err
		}
	}
}

// ignoreGone forgives an entry that was removed meanwhile.
func ignoreGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

// DirHandle is an open directory.
type DirHandle struct {
	f    *FS
	n    *Node
	r    *backing.Reader
	past *pastDir
}

// OpenDir opens a directory for reading.
func (f *FS) OpenDir(ctx context.Context, n *Node) (*DirHandle, error) {
	if n.past != nil {
		return f.openPastDir(ctx, n)
	}
	if n.listed.Load() {
		f.ahead.hit(n)
	}
	if err := f.ensureListed(ctx, n); err != nil {
		return nil, err
	}
	r, err := f.reader(n)
	if err != nil {
		return nil, err
	}
	f.trim()
	return &DirHandle{f: f, n: n, r: r}, nil
}

// reader opens a directory once more, for use outside of names.
func (f *FS) reader(n *Node) (*backing.Reader, error) {
	f.names.RLock()
	defer f.names.RUnlock()
	d, err := f.dir(n)
	if err != nil {
		return nil, err
	}
	return d.Read()
}

// Close closes the handle.
func (h *DirHandle) Close() error {
	if h.past != nil {
		return nil
	}
	return h.r.Close()
}

// SeekTo goes to where an entry's Next said, or with 0 to the start. The
// entries are the disk's own: "." and ".." are the host's to add.
func (h *DirHandle) SeekTo(position int64) error {
	if h.past != nil {
		h.past.at = int(position)
		return nil
	}
	return h.r.SeekTo(position)
}

// Next returns the next entry, or io.EOF.
func (h *DirHandle) Next() (backing.DirEntry, error) {
	if h.past != nil {
		return h.past.next()
	}
	return h.r.Next()
}

// Child is Lookup for a name that Next returned.
func (h *DirHandle) Child(name string) (*Node, Attr, error) {
	if h.past != nil {
		return h.past.child(h, name)
	}
	return h.f.child(h.n, h.r.Dir(), name)
}

// Sync makes the directory's entries durable.
func (h *DirHandle) Sync() error {
	if h.past != nil {
		return nil
	}
	return h.r.Dir().Sync()
}
