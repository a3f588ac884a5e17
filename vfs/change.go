package vfs

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
)

// Owner is who creates an entry.
type Owner struct{ UID, GID uint32 }

// make creates an entry with call and gives it to owner.
func (f *FS) make(ctx context.Context, parent *Node, name string, mode uint32, o Owner, call func(*backing.Dir) error) (*Node, Attr, error) {
	if err := f.enter(ctx, parent, name); err != nil {
		return nil, Attr{}, err
	}
	defer f.gate.leave()
	if err := f.ensureListed(ctx, parent); err != nil {
		return nil, Attr{}, err
	}
	f.names.Lock()
	defer f.names.Unlock()
	d, err := f.dir(parent)
	if err != nil {
		return nil, Attr{}, err
	}
	if err := call(d); err != nil {
		return nil, Attr{}, err
	}
	r := backing.Ref{Dir: d, Name: name}
	if err := f.own(d, r, mode, o); err != nil {
		return nil, Attr{}, errors.Join(err, remove(r))
	}
	a, err := r.Stat()
	if err != nil {
		return nil, a, err
	}
	f.store.AdjustNative(&a)
	n := f.node(parent, name, &a, nil)
	n.unmarked.Store(a.Type == cvd.File)
	if a.Type == cvd.Dir {
		n.listed.Store(true)
	}
	return n, a, nil
}

func remove(r backing.Ref) error {
	if err := r.Dir.Unlink(r.Name); err == nil || r.Dir.Rmdir(r.Name) == nil {
		return nil
	} else {
		return err
	}
}

// own gives a new entry its owners as the kernel would: the group of a setgid
// directory is inherited.
func (f *FS) own(d *backing.Dir, r backing.Ref, mode uint32, o Owner) error {
	if int(o.UID) == os.Geteuid() && int(o.GID) == os.Getegid() {
		return nil
	}
	gid := int(o.GID)
	if up, err := d.Stat(""); err != nil {
		return err
	} else if up.Mode&0o2000 != 0 {
		gid = -1
	}
	if err := r.Chown(int(o.UID), gid); err != nil {
		return err
	}
	if mode&0o6000 != 0 {
		return r.Chmod(mode & 0o7777) // chown took the bits away
	}
	return nil
}

// Mkdir makes a directory.
func (f *FS) Mkdir(ctx context.Context, parent *Node, name string, mode uint32, o Owner) (*Node, Attr, error) {
	return f.make(ctx, parent, name, 0, o, func(d *backing.Dir) error { return d.Mkdir(name, mode&0o7777) })
}

// Mknod makes a file, device, fifo or socket.
func (f *FS) Mknod(ctx context.Context, parent *Node, name string, t cvd.Type, mode, major, minor uint32, o Owner) (*Node, Attr, error) {
	return f.make(ctx, parent, name, mode, o, func(d *backing.Dir) error { return d.Mknod(name, t, mode&0o7777, major, minor) })
}

// Symlink makes a symlink to target.
func (f *FS) Symlink(ctx context.Context, parent *Node, name, target string, o Owner) (*Node, Attr, error) {
	return f.make(ctx, parent, name, 0, o, func(d *backing.Dir) error { return d.Symlink(target, name) })
}

// Link gives n another name.
func (f *FS) Link(ctx context.Context, n, parent *Node, name string) (*Node, Attr, error) {
	if n.past != nil {
		return nil, Attr{}, syscall.EXDEV
	}
	if err := f.enter(ctx, parent, name); err != nil {
		return nil, Attr{}, err
	}
	defer f.gate.leave()
	if err := f.ensureListed(ctx, parent); err != nil {
		return nil, Attr{}, err
	}
	if err := f.firm(n); err != nil {
		return nil, Attr{}, err
	}
	f.names.Lock()
	defer f.names.Unlock()
	d, err := f.dir(parent)
	if err != nil {
		return nil, Attr{}, err
	}
	r, err := f.ref(n)
	if err != nil {
		return nil, Attr{}, err
	}
	if err := r.Link(d, name); err != nil {
		return nil, Attr{}, err
	}
	return f.childLocked(parent, d, name)
}

// Unlink removes an entry that is not a directory.
func (f *FS) Unlink(ctx context.Context, parent *Node, name string) error {
	if err := f.ensureListed(ctx, parent); err != nil {
		return err
	}
	return f.remove(ctx, parent, name, func(d *backing.Dir) error { return d.Unlink(name) })
}

// Rmdir removes an empty directory: one that is a placeholder is not empty.
func (f *FS) Rmdir(ctx context.Context, parent *Node, name string) error {
	if err := f.listTarget(ctx, parent, name); err != nil {
		return err
	}
	return f.remove(ctx, parent, name, func(d *backing.Dir) error { return d.Rmdir(name) })
}

func (f *FS) remove(ctx context.Context, parent *Node, name string, call func(*backing.Dir) error) error {
	if err := f.enter(ctx, parent, name); err != nil {
		return err
	}
	defer f.gate.leave()
	f.names.Lock()
	defer f.names.Unlock()
	d, err := f.dir(parent)
	if err != nil {
		return err
	}
	undo, err := f.unname(d, parent, name)
	if err != nil {
		return err
	}
	if err := call(d); err != nil {
		undo()
		return err
	}
	return nil
}

// listTarget lists what a removal or renaming would replace, so that a
// placeholder is not taken for an empty directory.
func (f *FS) listTarget(ctx context.Context, parent *Node, name string) error {
	n, _, err := f.Lookup(ctx, parent, name)
	if err != nil {
		return ignoreGone(err)
	}
	defer f.Forget(n, 1)
	if n.typ != cvd.Dir {
		return nil
	}
	return f.ensureListed(ctx, n)
}

// Rename moves an entry; flags are renameat2's.
func (f *FS) Rename(ctx context.Context, from *Node, name string, to *Node, toName string, flags uint32) error {
	if err := f.changeable(ctx, to, toName); err != nil {
		return err
	}
	if err := f.enter(ctx, from, name); err != nil {
		return err
	}
	defer f.gate.leave()
	if err := f.ensureListed(ctx, from); err != nil {
		return err
	}
	if err := f.listTarget(ctx, to, toName); err != nil {
		return err
	}
	if err := errors.Join(f.firmName(ctx, from, name), ignoreGone(f.firmName(ctx, to, toName))); err != nil {
		return err
	}
	f.names.Lock()
	defer f.names.Unlock()
	fd, err := f.dir(from)
	if err != nil {
		return err
	}
	td, err := f.dir(to)
	if err != nil {
		return err
	}
	if flags&renameExchange != 0 {
		return f.exchange(fd, from, name, td, to, toName, flags)
	}
	return f.move(fd, from, name, td, to, toName, flags)
}

// Flags of renameat2.
const (
	renameNoReplace = 1
	renameExchange  = 2
)

func (f *FS) move(fd *backing.Dir, from *Node, name string, td *backing.Dir, to *Node, toName string, flags uint32) error {
	a, err := fd.Stat(name)
	if err != nil {
		return err
	}
	b, err := td.Stat(toName)
	replaces := err == nil && flags&renameNoReplace == 0
	if replaces && a.Ino == b.Ino {
		return fd.Rename(name, td, toName, flags) // two names of one file: rename does nothing
	}
	undo := func() {}
	if replaces {
		if undo, err = f.unname(td, to, toName); err != nil {
			return err
		}
	}
	if err := fd.Rename(name, td, toName, flags); err != nil {
		undo()
		return err
	}
	f.renamed(a.Ino, from, name, to, toName)
	return nil
}

func (f *FS) exchange(fd *backing.Dir, from *Node, name string, td *backing.Dir, to *Node, toName string, flags uint32) error {
	a, err := fd.Stat(name)
	if err != nil {
		return err
	}
	b, err := td.Stat(toName)
	if err != nil {
		return err
	}
	if err := fd.Rename(name, td, toName, flags); err != nil {
		return err
	}
	f.renamed(a.Ino, from, name, to, toName)
	f.renamed(b.Ino, to, toName, from, name)
	return nil
}

// renamed tells the node of the entry its new place. Called under names for writing.
func (f *FS) renamed(ino uint64, from *Node, name string, to *Node, toName string) {
	f.table.Lock()
	n := f.byIno[ino]
	known := n != nil && n.parent == from && n.name == name && n.pin == nil
	if known {
		n.parent, n.name = to, toName
		n.at = f.o.Ledger.Move(n.at, to.id, toName)
		to.refs++
	}
	f.table.Unlock()
	if known {
		f.drop(from, 1)
	}
}
