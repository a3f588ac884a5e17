package scan

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
)

// windowMax is how many entries of a directory are looked at in one go. Larger
// directories are taken in windows, so that memory holds only their names.
const windowMax = 8192

// node is a directory on its way through the scan.
type node struct {
	parent *node
	name   string
	d      dir
	dirs   *openDirs
	// st is the directory's own.
	st stat
	// refs counts who still needs d: the walker, jobs, and children that are not open yet.
	refs atomic.Int32

	// What listing found: set before ready is closed, then the walker's.
	ready chan struct{}
	err   error
	gone  bool
	// empty: a mount point that is not entered, or a directory whose content is not the desktop's.
	empty bool
	// names are all the names, and rest those not yet looked at, sorted.
	rest []name
	text string
	ents []ent
	// mount: d is the top of a file system.
	mount bool

	// place and state belong to the frontier.
	place listed
}

// name is one of a listing's names: where it stands in the text.
type name struct {
	off, n uint32
	ino    uint64
}

// ent is an entry of the window.
type ent struct {
	name string
	st   stat
	err  error
	skip bool
	// kid is the directory that it is.
	kid *node
}

// path is relative to the root, without a leading slash.
func (n *node) path(name string) string {
	size := len(name)
	for p := n; p.parent != nil; p = p.parent {
		size += len(p.name) + 1
	}
	b := make([]byte, size)
	at := size - copy(b[size-len(name):], name)
	for p := n; p.parent != nil; p = p.parent {
		at--
		b[at] = '/'
		at -= len(p.name)
		copy(b[at:], p.name)
	}
	return string(b)
}

// own is the directory's path.
func (n *node) own() string {
	if n.parent == nil {
		return ""
	}
	return n.parent.path(n.name)
}

func (n *node) hold() { n.refs.Add(1) }

func (n *node) release() {
	if n.refs.Add(-1) == 0 {
		n.dirs.close(n)
	}
}

// openDirs knows the directories that are open, so that a scan that ends early closes them.
type openDirs struct {
	// mu guards open.
	mu   sync.Mutex
	open map[*node]struct{}
}

func (o *openDirs) add(n *node) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open[n] = struct{}{}
}

func (o *openDirs) close(n *node) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.open[n]; ok {
		delete(o.open, n)
		n.d.close()
	}
}

func (o *openDirs) closeAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n := range o.open {
		n.d.close()
	}
	clear(o.open)
}

// lister reads directories.
type lister struct {
	rules *rules
	hook  Placeholders
	buf   []byte
}

func newLister(r *rules, hook Placeholders) *lister {
	return &lister{rules: r, hook: hook, buf: make([]byte, 64<<10)}
}

// list opens n and looks at its first window. It drops the hold on n's parent.
func (l *lister) list(n *node) {
	n.err = l.open(n)
	n.parent.release()
	if n.err == nil && !n.empty {
		n.err = l.readNames(n)
	}
	if n.err != nil {
		n.gone = vanished(n.err)
		return
	}
	l.window(n)
}

// top lists the root of the scan, which is open.
func (l *lister) top(n *node) error {
	err := l.whole(n)
	if err == nil {
		err = l.readNames(n)
	}
	if err != nil {
		return fmt.Errorf("list the root: %w", err)
	}
	l.window(n)
	return nil
}

// open opens n below its parent. What is found there now is what counts.
func (l *lister) open(n *node) error {
	d, err := n.parent.d.open(n.name)
	if err != nil {
		return err
	}
	n.d = d
	n.dirs.add(n)
	if err := d.self(&n.st); err != nil {
		return err
	}
	n.mount = n.st.dev != n.parent.st.dev
	n.empty = l.rules.closed(n)
	return l.whole(n)
}

// whole sees to it that all entries of n are here: a placeholder is listed first, and without a hook it is an error.
// It must not count as empty, whatever the stat cache says. What is listed meanwhile has another time until it is.
func (l *lister) whole(n *node) error {
	err := l.listed(n)
	if err == nil && l.hook != nil {
		err = n.d.self(&n.st)
	}
	return err
}

func (l *lister) listed(n *node) error {
	xs, err := n.d.selfXattrs()
	if err != nil && l.hook == nil {
		return nil // what is in it is here, and the walker says what is missing
	}
	if err != nil {
		return err
	}
	m, marked, err := markIn(xs)
	switch {
	case !marked, err == nil && m.Listed == backing.Boot():
		return nil
	case l.hook != nil: // what was listed before a power cut may lack bytes until it was looked into
		return l.hook.Bring(n.own())
	case err != nil || m.Listed == 0:
		return ErrPlaceholder
	}
	return nil
}

func (l *lister) readNames(n *node) error {
	var text []byte
	err := n.d.names(l.buf, func(b []byte, ino uint64) {
		n.rest = append(n.rest, name{uint32(len(text)), uint32(len(b)), ino})
		text = append(text, b...)
	})
	if err != nil {
		return err
	}
	n.text = unsafe.String(unsafe.SliceData(text), len(text)) // text is not written again
	slices.SortFunc(n.rest, func(a, b name) int { return compare(n.at(a), n.at(b)) })
	return nil
}

func (n *node) at(x name) string { return n.text[x.off : x.off+x.n] }

// window looks at the next entries of n. It goes through them in the order of
// inodes, in which their blocks lie on disk.
func (l *lister) window(n *node) {
	part := n.rest[:min(len(n.rest), windowMax)]
	n.rest = n.rest[len(part):]
	if cap(n.ents) < len(part) {
		n.ents = make([]ent, 0, len(part))
	}
	n.ents = n.ents[:len(part)]
	order := make([]uint32, len(part))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return cmp.Compare(part[a].ino, part[b].ino) })
	for _, i := range order {
		e := &n.ents[i]
		*e = ent{name: n.at(part[i])}
		l.look(n, e)
	}
	n.ents = slices.DeleteFunc(n.ents, func(e ent) bool { return e.skip })
	for i := range n.ents {
		if e := &n.ents[i]; e.err == nil && e.st.kind() == cvd.Dir {
			e.kid = &node{parent: n, name: e.name, dirs: n.dirs, st: e.st, ready: make(chan struct{})}
			e.kid.refs.Store(1)
			n.hold()
		}
	}
}

func (l *lister) look(n *node, e *ent) {
	e.err = n.d.stat(e.name, &e.st)
	switch {
	case e.err != nil:
		e.skip = vanished(e.err)
	case e.st.kind() == 0:
		e.skip = true
	default:
		e.skip = l.rules.excluded(n, e)
	}
}
