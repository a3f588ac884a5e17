package vfs

import (
	"context"
	"strings"
	"syscall"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
)

// Getattr says what a node is.
func (f *FS) Getattr(n *Node) (Attr, error) {
	if n.past != nil {
		return f.attrPast(n), nil
	}
	f.names.RLock()
	defer f.names.RUnlock()
	return f.attr(n)
}

func (f *FS) attr(n *Node) (Attr, error) {
	r, err := f.ref(n)
	if err != nil {
		return Attr{}, err
	}
	a, err := r.Stat()
	if err == nil {
		f.adjust(n, r, &a)
	}
	return a, err
}

// adjust makes of what the disk says what the desktop has. What is known to be
// native is not asked for its mark.
func (f *FS) adjust(n *Node, r backing.Ref, a *Attr) {
	if n.unmarked.Load() {
		f.store.AdjustNative(a)
	} else {
		f.store.Adjust(r, a)
	}
}

// Change is what Setattr sets; nil fields stay.
type Change struct {
	Mode     *uint32
	UID, GID *uint32
	Size     *uint64
	// Atime and Mtime may have backing.TimeNow as nanoseconds.
	Atime, Mtime *cvd.Time
}

// Setattr changes a node.
func (f *FS) Setattr(ctx context.Context, n *Node, c Change) (Attr, error) {
	if err := f.enter(ctx, n, ""); err != nil {
		return Attr{}, err
	}
	defer f.gate.leave()
	if c.Size != nil || c.Mtime != nil {
		if err := f.firm(n); err != nil {
			return Attr{}, err
		}
	}
	if c.Size != nil {
		if err := f.truncate(ctx, n, *c.Size); err != nil {
			return Attr{}, err
		}
	}
	if c.Mtime != nil && n.typ == cvd.Dir {
		if err := f.ensureListed(ctx, n); err != nil { // listing it later would undo the change
			return Attr{}, err
		}
	}
	n.mu.Lock() // a time set must not be undone by fetched bytes that restore it
	defer n.mu.Unlock()
	if err := f.remark(n, c.remark); err != nil {
		return Attr{}, err
	}
	f.names.RLock()
	defer f.names.RUnlock()
	r, err := f.ref(n)
	if err != nil {
		return Attr{}, err
	}
	if err := f.set(n, r, &c); err != nil {
		return Attr{}, err
	}
	return f.attr(n)
}

// remark has a placeholder's mark follow the change.
func (c *Change) remark(m *backing.Mark) {
	if c.UID != nil || c.GID != nil {
		forgetCaps(m)
	}
	if c.Mtime == nil {
		return
	}
	m.Mtime, m.Timed = *c.Mtime, c.Mtime.Nsec < 1e9
	if !m.Timed {
		m.Mtime = cvd.Time{}
	}
}

func (f *FS) set(n *Node, r backing.Ref, c *Change) error {
	if c.UID != nil || c.GID != nil {
		if err := r.Chown(orKeep(c.UID), orKeep(c.GID)); err != nil {
			return err
		}
	}
	if c.Mode != nil && n.typ != cvd.Symlink {
		if err := r.Chmod(*c.Mode & 0o7777); err != nil {
			return err
		}
	}
	if c.Atime == nil && c.Mtime == nil {
		return nil
	}
	return r.SetTimes(orOmit(c.Atime), orOmit(c.Mtime))
}

func orKeep(id *uint32) int {
	if id == nil {
		return -1
	}
	return int(*id)
}

func orOmit(t *cvd.Time) cvd.Time {
	if t == nil {
		return cvd.Time{Nsec: backing.TimeOmit}
	}
	return *t
}

// Readlink returns where a symlink points to.
func (f *FS) Readlink(n *Node) (string, error) {
	if n.past != nil {
		return n.past.Target, nil
	}
	f.names.RLock()
	defer f.names.RUnlock()
	r, err := f.ref(n)
	if err != nil {
		return "", err
	}
	return r.Readlink()
}

// Getxattr reads an extended attribute; an empty dest asks for its length.
func (f *FS) Getxattr(n *Node, attr string, dest []byte) (int, error) {
	if f.store.Hidden(attr) {
		return 0, syscall.ENODATA
	}
	if n.past != nil {
		return pastXattr(n.past, attr, dest)
	}
	f.names.RLock()
	defer f.names.RUnlock()
	r, err := f.ref(n)
	if err != nil {
		return 0, err
	}
	return r.Getxattr(attr, dest)
}

// Setxattr sets an extended attribute; flags are setxattr's.
func (f *FS) Setxattr(ctx context.Context, n *Node, attr string, value []byte, flags int) error {
	if f.store.Hidden(attr) {
		return syscall.EPERM
	}
	return f.changeXattr(ctx, n, attr, func(r backing.Ref) error { return r.Setxattr(attr, value, flags) })
}

// Removexattr removes an extended attribute.
func (f *FS) Removexattr(ctx context.Context, n *Node, attr string) error {
	if f.store.Hidden(attr) {
		return syscall.ENODATA
	}
	return f.changeXattr(ctx, n, attr, func(r backing.Ref) error { return r.Removexattr(attr) })
}

// changeXattr lets call change an extended attribute of n.
func (f *FS) changeXattr(ctx context.Context, n *Node, attr string, call func(backing.Ref) error) error {
	if err := f.enter(ctx, n, ""); err != nil {
		return err
	}
	defer f.gate.leave()
	if backing.IsCaps(attr) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if err := f.remark(n, forgetCaps); err != nil {
			return err
		}
	}
	f.names.RLock()
	defer f.names.RUnlock()
	r, err := f.ref(n)
	if err != nil {
		return err
	}
	return call(r)
}

// Listxattr returns the names of the extended attributes.
func (f *FS) Listxattr(n *Node) (out []string, err error) {
	if n.past != nil {
		for _, x := range n.past.Xattrs {
			if !f.store.Hidden(x.Name) {
				out = append(out, x.Name)
			}
		}
		return out, nil
	}
	f.names.RLock()
	defer f.names.RUnlock()
	r, err := f.ref(n)
	if err != nil {
		return nil, err
	}
	size, err := r.Listxattr(nil)
	if err != nil || size == 0 {
		return nil, err
	}
	buf := make([]byte, size+256)
	if size, err = r.Listxattr(buf); err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(string(buf[:size]), "\x00") {
		if name != "" && !f.store.Hidden(name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// Space says what room there is.
func (f *FS) Space() (backing.Space, error) { return f.store.Top.Space() }
