package vfs

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/history"
	"github.com/looming-project/looming/vfs/ledger"
)

// Attr is what the disk says about an entry.
type Attr = backing.Attr

// ErrStale says that a node's entry is gone from the disk.
var ErrStale = syscall.ESTALE

// Node stands for an entry of the backing directory.
type Node struct {
	id, ino uint64
	typ     cvd.Type

	// past is set for what is in the desktop's history, and not in the backing directory.
	past *history.Entry

	// mu guards file.
	mu   sync.Mutex
	file *content

	// Guarded by FS.names: where the entry is. A node without a name has a pin.
	parent *Node
	name   string
	pin    *backing.Pin

	// Guarded by FS.table. Every node below a directory holds one reference to it.
	refs int
	gone bool
	// at is where the node is written down, lost says that the process that held it died.
	at   ledger.Place
	lost bool

	// open guards dir, a directory's descriptor.
	open sync.Mutex
	dir  *backing.Dir

	// unmarked is set once a file is known to be native.
	unmarked atomic.Bool
	// listed is set once a directory is known to be native; plant is held while it is listed.
	listed atomic.Bool
	// noted is set once somebody was told that its names are used.
	noted atomic.Bool
	// loose is set while bytes that its listing wrote are not durable.
	loose atomic.Bool
	plant sync.Mutex
}

// ID is the number by which a host names the node, never used again for another.
func (n *Node) ID() uint64 { return n.id }

// Type is what the entry is.
func (n *Node) Type() cvd.Type { return n.typ }

// Node returns the node with the id, of which the host holds a reference, or nil.
func (f *FS) Node(id uint64) *Node {
	f.table.Lock()
	defer f.table.Unlock()
	return f.byID[id]
}

// Forget gives back references.
func (f *FS) Forget(n *Node, times uint64) {
	if n == f.root {
		return
	}
	f.names.RLock()
	defer f.names.RUnlock()
	f.drop(n, int(times))
}

// drop gives back references, under names.
func (f *FS) drop(n *Node, times int) {
	for n != nil && n != f.root {
		f.table.Lock()
		if n.refs -= times; n.refs > 0 {
			f.table.Unlock()
			return
		}
		delete(f.byID, n.id)
		if f.byIno[n.ino] == n {
			delete(f.byIno, n.ino)
		}
		if n.pin == nil {
			f.o.Ledger.Remove(n.at)
		}
		f.table.Unlock()
		if n.pin != nil { // it is written down as long as it is held
			if f.o.Nameless != nil {
				f.o.Nameless.Release(n.id)
			}
			f.o.Ledger.Remove(n.at)
		}
		if n.dir != nil {
			f.dirsOpen.Add(-1)
		}
		n.release(f.store)
		n, times = n.parent, 1
	}
}

// release closes what the node holds open. Nobody knows the node any more.
func (n *Node) release(s *backing.Store) {
	if n.dir != nil {
		_ = n.dir.Close() // a directory descriptor: nothing can be lost
	}
	if n.pin != nil {
		_ = n.pin.Close()
	}
	if n.gone && n.file.part != nil {
		_ = s.RemovePartial(n.file.mark.Tag) // the log of a file that is no more
	}
	n.file.close()
}

// node returns the node for what parent holds under name, with one reference
// more; past is nil for what is on the disk. Called under names.
func (f *FS) node(parent *Node, name string, a *Attr, past *history.Entry) *Node {
	f.table.Lock()
	defer f.table.Unlock()
	if n := f.byIno[a.Ino]; n != nil && !n.gone && n.typ == a.Type {
		n.refs++
		return n
	}
	f.lastID++
	n := &Node{id: f.lastID, ino: a.Ino, typ: a.Type, parent: parent, name: name, refs: 1, file: unknownFile, past: past}
	n.listed.Store(past != nil)
	f.byIno[a.Ino], f.byID[n.id] = n, n
	parent.refs++
	// What is in the history is not on the disk: the next process does not find it.
	n.at = f.o.Ledger.AddNode(&ledger.Node{ID: n.id, Ino: n.ino, Parent: parent.id, Type: uint8(n.typ), Name: name, Nameless: past != nil})
	return n
}

// ref is where the node's entry is. Called under names.
func (f *FS) ref(n *Node) (backing.Ref, error) {
	if n.pin != nil {
		return backing.Ref{Pin: n.pin}, nil
	}
	if n.parent == nil {
		return backing.Ref{Dir: f.store.Top}, nil
	}
	if n.lost {
		return backing.Ref{}, ErrStale
	}
	if n.typ == cvd.Dir {
		n.open.Lock()
		defer n.open.Unlock()
		if n.dir != nil { // its descriptor is faster than its name
			return backing.Ref{Dir: n.dir}, nil
		}
	}
	dir, err := f.dir(n.parent)
	return backing.Ref{Dir: dir, Name: n.name}, err
}

// dir returns a directory's descriptor. Called under names.
func (f *FS) dir(n *Node) (*backing.Dir, error) {
	if n.typ != cvd.Dir {
		return nil, syscall.ENOTDIR
	}
	n.open.Lock()
	defer n.open.Unlock()
	if n.dir != nil {
		return n.dir, nil
	}
	if n.parent == nil || n.pin != nil || n.lost {
		return nil, ErrStale
	}
	up, err := f.dir(n.parent)
	if err != nil {
		return nil, err
	}
	if n.dir, err = up.Open(n.name); err != nil {
		n.dir = nil
		return nil, err
	}
	f.dirsOpen.Add(1)
	return n.dir, nil
}

// unname takes a name from the node that has it, if one is known: the entry is
// about to be removed or replaced. undo is for when that failed. Called under
// names for writing.
func (f *FS) unname(dir *backing.Dir, parent *Node, name string) (undo func(), err error) {
	a, err := dir.Stat(name)
	if err != nil {
		return nil, err
	}
	f.table.Lock()
	n := f.byIno[a.Ino]
	last := n != nil && (a.Nlink < 2 || a.Type == cvd.Dir)
	if last {
		n.gone = true
		delete(f.byIno, a.Ino)
	}
	f.table.Unlock()
	pinned := n != nil && n.parent == parent && n.name == name && n.pin == nil
	undo = func() {
		if pinned && n.pin != nil {
			f.named(n)
			_ = n.pin.Close()
			n.pin = nil
		}
		if last {
			f.table.Lock()
			n.gone = false
			f.byIno[a.Ino] = n
			f.table.Unlock()
		}
	}
	if pinned {
		if n.pin, err = (backing.Ref{Dir: dir, Name: name}).Hold(); err != nil {
			undo()
		} else {
			f.nameless(n, last)
		}
	}
	return undo, err
}

// dirsMax is how many directories' descriptors are kept. They are opened anew
// when they are needed.
const dirsMax = 2048

// trim closes the descriptors of directories when there are too many. Whoever
// uses one does so under names, or has one of its own. Called with no lock held.
func (f *FS) trim() {
	if f.dirsOpen.Load() <= dirsMax {
		return
	}
	f.names.Lock()
	defer f.names.Unlock()
	f.table.Lock()
	defer f.table.Unlock()
	for _, n := range f.byID {
		if n != f.root && n.dir != nil && n.pin == nil {
			_ = n.dir.Close() // a directory descriptor: nothing can be lost
			n.dir = nil
			f.dirsOpen.Add(-1)
		}
	}
}

// Path is the node's path below the root, for people: without a leading slash.
func (f *FS) Path(n *Node) string {
	f.names.RLock()
	defer f.names.RUnlock()
	var parts []string
	for ; n != nil && n.parent != nil; n = n.parent {
		parts = append(parts, n.name)
	}
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, "/")
}

func (n *Node) String() string { return fmt.Sprintf("node %d (%s)", n.id, n.typ) }
