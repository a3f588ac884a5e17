//go:build linux

package fuse

import (
	"context"
	"fmt"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/ledger"
)

// resume opens again what a process before this one had open.
func (h *host) resume() {
	l := h.over.led
	h.files.last, h.dirs.last = l.LastHandle(), l.LastHandle()
	l.Handles(func(at ledger.Place, r ledger.Handle) {
		if h.f.Node(r.Node) == nil { // the kernel has closed it, and forgotten what it was
			l.Remove(at)
			return
		}
		var err error
		if r.Dir {
			err = h.reopenDir(at, &r)
		} else {
			err = h.reopen(at, &r)
		}
		if err != nil {
			h.log.Error("what was open could not be opened again: it fails from now on", "path", h.path(r.Node), "err", err)
		}
	})
}

func (h *host) path(id uint64) string {
	if n := h.f.Node(id); n != nil {
		return h.f.Path(n)
	}
	return fmt.Sprintf("node %d", id)
}

func (h *host) reopen(at ledger.Place, r *ledger.Handle) error {
	t := h.hold(r.Node)
	if r.Passed {
		t.passed++
		t.backing = r.Backing
	} else {
		t.cached++
	}
	h.over.opened(r.Node, 1)
	f, err := h.f.Reopen(h.f.Node(r.Node), int(r.Flags), r.Passed)
	h.files.put(r.ID, &open{h: f, id: r.Node, t: t, passed: r.Passed, at: at, unique: r.Unique})
	return err
}

// listTime is how long a directory may take that was listed once.
const listTime = 2 * time.Second

func (h *host) reopenDir(at ledger.Place, r *ledger.Handle) error {
	ctx, end := context.WithTimeout(context.Background(), listTime)
	defer end()
	n := h.f.Node(r.Node)
	d, err := h.f.ReopenDir(ctx, n)
	h.dirs.put(r.ID, &openDir{h: d, n: n, ledgerAt: at})
	return err
}

// once has a change of names done once, whatever becomes of the process that does
// it: the change is written down before, and that it is done before its answer. If
// the kernel asks again for what is done, again answers.
func (h *host) once(in *fuse.InHeader, c ledger.Change, do, again func() fuse.Status) fuse.Status {
	if h.over == nil {
		return do()
	}
	l := h.over.led
	c.Unique, c.From = in.Unique&^resent, in.NodeId
	if in.Unique&resent != 0 {
		if before, ok := l.Find(c.Unique); ok && before.Done {
			return again()
		}
	}
	if err := h.before(&c); err != nil {
		return h.status("looking up what is to be changed", err)
	}
	slot := l.Begin(&c)
	st := do()
	l.End(slot, st.Ok())
	return st
}

// before notes which inodes have the names that are about to change.
func (h *host) before(c *ledger.Change) (err error) {
	if c.Kind == ledger.Making {
		return nil
	}
	if c.Ino, err = h.f.Inode(h.f.Node(c.From), c.Name); err != nil || c.Kind == ledger.Removing {
		return err
	}
	c.ToIno, err = h.f.Inode(h.f.Node(c.To), c.ToName)
	return err
}

func ok() fuse.Status { return fuse.OK }

// made answers for an entry that was made before.
func (h *host) made(in *fuse.InHeader, name string, mode uint32, out *fuse.EntryOut) fuse.Status {
	n, a, err := h.f.Made(h.node(in), name, mode, owner(in))
	if err != nil {
		return h.status("finding what was made", err)
	}
	h.entry(out, n, &a)
	return fuse.OK
}

// reopened answers for a file that was opened before.
func (h *host) reopened(in *fuse.InHeader, out *fuse.OpenOut) bool {
	if h.over == nil || in.Unique&resent == 0 {
		return false
	}
	fh, o := h.files.find(func(o *open) bool { return o.unique == in.Unique&^resent })
	if o == nil {
		return false
	}
	out.Fh = fh
	if o.passed {
		o.t.mu.Lock()
		out.BackingID, out.OpenFlags = o.t.backing, fuse.FOPEN_PASSTHROUGH
		o.t.mu.Unlock()
	}
	return true
}

// handle is an open file; one that could not be opened again is stale.
func (h *host) handle(fh uint64) (*vfs.Handle, error) {
	if o := h.files.get(fh); o != nil && o.h != nil {
		return o.h, nil
	}
	return nil, vfs.ErrStale
}
