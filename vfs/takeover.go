package vfs

import (
	"context"
	"os"
	"syscall"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/ledger"
)

// Keeper holds entries that have no name for whoever serves the desktop after this
// process. What it does not hold is lost with the process: ErrStale.
type Keeper interface {
	// Hold takes a copy of what p holds. last says that it was the entry's last name.
	Hold(id uint64, p *backing.Pin, dir, last bool)
	Release(id uint64)
	// Held is what a process before this one gave to Hold, or nil.
	Held(id uint64) *backing.Pin
}

// Known writes down that a host's kernel was told of n once more.
func (f *FS) Known(n *Node) {
	if f.o.Ledger == nil {
		return
	}
	f.table.Lock()
	defer f.table.Unlock()
	f.o.Ledger.Known(n.at, 1)
}

// Forgotten gives back references that were Known to the kernel.
func (f *FS) Forgotten(n *Node, times uint64) {
	f.table.Lock()
	f.o.Ledger.Known(n.at, -int64(times))
	f.table.Unlock()
	f.Forget(n, times)
}

// nameless notes that n is about to lose its name. Called under names for writing.
func (f *FS) nameless(n *Node, last bool) {
	f.o.Ledger.SetNameless(n.at, true)
	if f.o.Nameless != nil {
		f.o.Nameless.Hold(n.id, n.pin, n.typ == cvd.Dir, last)
	}
}

// named undoes nameless.
func (f *FS) named(n *Node) {
	f.o.Ledger.SetNameless(n.at, false)
	if f.o.Nameless != nil {
		f.o.Nameless.Release(n.id)
	}
}

// takeOver makes nodes of what the ledger says that a kernel knows. Nobody else
// uses the FS yet.
func (f *FS) takeOver() error {
	l := f.o.Ledger
	if l == nil {
		return nil
	}
	f.lastID = max(f.lastID, l.LastNode())
	parents, nameless := map[*Node]uint64{}, []*Node{}
	l.Nodes(func(at ledger.Place, r ledger.Node) {
		n := &Node{id: r.ID, ino: r.Ino, typ: cvd.Type(r.Type), name: r.Name, refs: int(r.Lookups), at: at, file: unknownFile}
		parents[n], f.byID[n.id] = r.Parent, n
		if r.Nameless {
			nameless = append(nameless, n)
		} else {
			f.byIno[n.ino] = n
		}
	})
	for n, id := range parents {
		if n.parent = f.byID[id]; n.parent == nil {
			n.parent, n.lost = f.root, true
		}
		n.parent.refs++
	}
	if err := f.redo(l); err != nil {
		return err
	}
	for _, n := range nameless {
		if err := f.findNameless(n); err != nil {
			return err
		}
	}
	for n := range parents {
		if n.refs == 0 && f.byID[n.id] == n { // only the process that died knew it
			f.drop(n, 0)
		}
	}
	return nil
}

// redo finds out which of the changes that were under way are on the disk.
func (f *FS) redo(l *ledger.Ledger) (err error) {
	l.Changes(func(s ledger.Slot, c ledger.Change) {
		if err != nil || c.Done {
			return
		}
		done := false
		if done, err = f.happened(&c); err == nil {
			l.End(s, done)
		}
	})
	return err
}

// happened says whether a change is on the disk, and brings the nodes up to it.
func (f *FS) happened(c *ledger.Change) (bool, error) {
	from, to := f.byID[c.From], f.byID[c.To]
	switch c.Kind {
	case ledger.Removing:
		ino, err := f.inode(from, c.Name)
		return err == nil && ino != c.Ino, err
	case ledger.Making:
		ino, err := f.inode(from, c.Name)
		return ino != 0, err
	case ledger.Moving, ledger.Exchanging:
		ino, err := f.inode(to, c.ToName)
		if err != nil || ino != c.Ino || ino == 0 {
			return false, err
		}
		f.renamed(c.Ino, from, c.Name, to, c.ToName)
		if c.Kind == ledger.Exchanging {
			f.renamed(c.ToIno, to, c.ToName, from, c.Name)
		}
		return true, nil
	}
	return false, nil
}

// Inode is the inode of what dir holds under name, 0 if there is none.
func (f *FS) Inode(dir *Node, name string) (uint64, error) {
	f.names.RLock()
	defer f.names.RUnlock()
	return f.inode(dir, name)
}

func (f *FS) inode(dir *Node, name string) (uint64, error) {
	if dir == nil {
		return 0, nil
	}
	d, err := f.dir(dir)
	if gone(err) || err == ErrStale { //nolint:errorlint // it is never wrapped
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	a, err := d.Stat(name)
	return a.Ino, ignoreGone(err)
}

// findNameless finds a node that has lost its name, or was about to.
func (f *FS) findNameless(n *Node) error {
	ino, err := f.inode(n.parent, n.name)
	if err != nil {
		return err
	}
	if ino == n.ino && !n.lost {
		f.named(n)
		f.byIno[n.ino] = n
		return nil
	}
	if f.o.Nameless != nil {
		n.pin = f.o.Nameless.Held(n.id)
	}
	if n.pin == nil {
		n.gone, n.lost = true, true
		return nil
	}
	a, err := (backing.Ref{Pin: n.pin}).Stat()
	if err != nil {
		return err
	}
	if n.gone = a.Nlink == 0 || n.typ == cvd.Dir; !n.gone {
		f.byIno[n.ino] = n
	}
	if n.typ != cvd.Dir {
		return nil
	}
	if n.dir, err = n.pin.OpenDir(); err == nil {
		f.dirsOpen.Add(1)
	}
	return err
}

// Made finds an entry that a process made that died before it could say so, and
// finishes what making is.
func (f *FS) Made(parent *Node, name string, mode uint32, o Owner) (*Node, Attr, error) {
	f.names.Lock()
	defer f.names.Unlock()
	d, err := f.dir(parent)
	if err != nil {
		return nil, Attr{}, err
	}
	if err := f.own(d, backing.Ref{Dir: d, Name: name}, mode, o); err != nil {
		return nil, Attr{}, err
	}
	return f.childLocked(parent, d, name)
}

// Reopen opens a file for a handle of a process that died. What had to be here for
// the handle was written by that process: a file of one chunk, and all of a file
// that is whole. A power cut would have ended the kernel as well.
func (f *FS) Reopen(n *Node, flags int, whole bool) (*Handle, error) {
	if n == nil || n.typ != cvd.File {
		return nil, ErrStale
	}
	if err := f.trust(n, whole); err != nil {
		return nil, err
	}
	file, err := f.openBacking(n, flags&openFlags)
	if err != nil {
		return nil, err
	}
	return &Handle{f: f, n: n, file: file}, nil
}

func (f *FS) trust(n *Node, whole bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := f.loadLocked(n); err != nil {
		return err
	}
	c := n.file
	switch {
	case c.state == single:
		file, err := f.openBacking(n, os.O_RDWR)
		if err != nil {
			return err
		}
		n.file = &content{state: unsettled, mark: c.mark, file: file}
		f.defers(n, c.mark.Size)
	case c.state == ranged && whole:
		for _, r := range c.part.Present.Absent(backing.Range{End: c.mark.Size}) {
			c.part.Fetched(r)
		}
		return f.completeLocked(n)
	}
	return nil
}

// ReopenDir opens a directory for a handle of a process that died.
func (f *FS) ReopenDir(ctx context.Context, n *Node) (*DirHandle, error) {
	if n == nil {
		return nil, syscall.ESTALE
	}
	return f.OpenDir(ctx, n)
}
