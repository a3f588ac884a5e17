package vfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/history"
)

// The desktop's history is found in the top directory by its name, history.Name,
// and not listed there. Its nodes have a past, and no entry in the backing
// directory; no call changes them.

// Fleeting says that what a directory holds comes and goes without any call: the
// host may not keep its names for long.
func (n *Node) Fleeting() bool { return n.past != nil && n.past.IsTop() }

// lookupTop is what the top directory has under the name of the history: the
// desktop's own entry of that name, if there is one.
func (f *FS) lookupTop(n *Node, a Attr, err error) (*Node, Attr, error) {
	switch {
	case err == nil:
		f.hidden.Do(func() {
			slog.Warn("the desktop has an entry of its own with the name under which its history is shown: no history is shown", "name", history.Name)
		})
		return n, a, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, Attr{}, err
	}
	n = f.pastNode(f.root, f.past.Top())
	return n, pastAttr(n.past), nil
}

// changeable refuses to change the past: n, or what it holds under name.
func (f *FS) changeable(ctx context.Context, n *Node, name string) error {
	if n.past != nil {
		return syscall.EROFS
	}
	if f.past == nil || n != f.root || name != history.Name {
		return nil
	}
	if err := f.ensureListed(ctx, n); err != nil {
		return err
	}
	_, err := f.store.Top.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return syscall.EROFS
	}
	return err
}

// enter lets a change of n begin, or of what it holds under name, if it is changeable.
// Whoever was let in leaves by f.gate.
func (f *FS) enter(ctx context.Context, n *Node, name string) error {
	if err := f.changeable(ctx, n, name); err != nil {
		return err
	}
	return f.gate.enter(ctx)
}

func (f *FS) lookupPast(ctx context.Context, dir *Node, name string) (*Node, Attr, error) {
	e, err := f.past.Lookup(ctx, dir.past, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Attr{}, syscall.ENOENT
	}
	if err != nil {
		return nil, Attr{}, fmt.Errorf("looking up %q in %q: %w", name, f.Path(dir), err)
	}
	n := f.pastNode(dir, e)
	return n, pastAttr(e), nil
}

// pastNode returns the node for an entry of the history, with one reference more.
func (f *FS) pastNode(parent *Node, e *history.Entry) *Node {
	f.names.RLock()
	defer f.names.RUnlock()
	return f.node(parent, e.Name, &Attr{Ino: e.Ino, Type: e.Type}, e)
}

// pastAttr is what stat says of an entry of the history.
func pastAttr(e *history.Entry) Attr {
	a := Attr{
		Ino: e.Ino, Type: e.Type, Mode: e.Mode, Nlink: e.Nlink(), UID: e.UID, GID: e.GID, Major: e.Major, Minor: e.Minor,
		Size: e.Size, BlockSize: pastBlock, Atime: e.Mtime, Mtime: e.Mtime, Ctime: e.Mtime,
	}
	switch e.Type {
	case cvd.Symlink:
		a.Size, a.Mode = uint64(len(e.Target)), 0o777
	case cvd.Dir:
		a.Size = pastBlock
	}
	a.Blocks = (a.Size + 511) / 512
	return a
}

// pastBlock is the size in which the history is best read.
const pastBlock = 4096

// attrPast is Getattr in the history.
func (f *FS) attrPast(n *Node) Attr {
	if n.past.IsTop() { // its time is the latest snapshot's
		return pastAttr(f.past.Top())
	}
	return pastAttr(n.past)
}

// pastXattr reads an extended attribute of an entry of the history.
func pastXattr(e *history.Entry, attr string, dest []byte) (int, error) {
	i, found := slices.BinarySearchFunc(e.Xattrs, attr, func(x cvd.Xattr, name string) int { return strings.Compare(x.Name, name) })
	if !found {
		return 0, syscall.ENODATA
	}
	value := e.Xattrs[i].Value
	if len(dest) > 0 && len(dest) < len(value) {
		return 0, syscall.ERANGE
	}
	copy(dest, value)
	return len(value), nil
}

// openPast opens a file of the history.
func (f *FS) openPast(ctx context.Context, n *Node, flags int) (*Handle, error) {
	if flags&(accessMode|os.O_TRUNC) != os.O_RDONLY {
		return nil, syscall.EROFS
	}
	file, err := f.past.Open(ctx, n.past)
	if err != nil {
		return nil, fmt.Errorf("opening %q: %w", f.Path(n), err)
	}
	return &Handle{f: f, n: n, past: file}, nil
}

// readPast is ReadAt in the history.
func (h *Handle) readPast(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := h.past.ReadAt(ctx, p, off)
	if err != nil {
		return 0, fmt.Errorf("reading %q: %w", h.f.Path(h.n), err)
	}
	return n, nil
}

// pastDir is an open directory of the history: all it holds, in the order of
// names, at a position.
type pastDir struct {
	entries []*history.Entry
	at      int
}

func (f *FS) openPastDir(ctx context.Context, n *Node) (*DirHandle, error) {
	entries, err := f.past.List(ctx, n.past)
	if err != nil {
		return nil, fmt.Errorf("listing %q: %w", f.Path(n), err)
	}
	return &DirHandle{f: f, n: n, past: &pastDir{entries: entries}}, nil
}

func (d *pastDir) next() (backing.DirEntry, error) {
	if d.at >= len(d.entries) {
		return backing.DirEntry{}, io.EOF
	}
	e := d.entries[d.at]
	d.at++
	return backing.DirEntry{Name: e.Name, Ino: e.Ino, Type: e.Type, Next: int64(d.at)}, nil
}

// child is Child in a directory of the history.
func (d *pastDir) child(h *DirHandle, name string) (*Node, Attr, error) {
	i, found := slices.BinarySearchFunc(d.entries, name, func(e *history.Entry, name string) int { return strings.Compare(e.Name, name) })
	if !found || h.n.Fleeting() {
		return h.f.lookupPast(context.Background(), h.n, name)
	}
	e := d.entries[i].Apart()
	return h.f.pastNode(h.n, e), pastAttr(e), nil
}
