package vfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// ensureListed lists a directory that is a placeholder, because somebody waits for it.
func (f *FS) ensureListed(ctx context.Context, n *Node) error {
	f.usedDir(ctx, n)
	if n.listed.Load() {
		return nil
	}
	m, ok, err := f.treeOf(n)
	if err != nil || !ok {
		return err
	}
	if plain, ok := f.nearChunk(ctx, m.Tree); ok {
		if err := f.plant(ctx, n, plain, f.sched.Demanded()); err != nil {
			return fmt.Errorf("listing %q: %w", f.Path(n), err)
		}
		return nil
	}
	led := f.ahead.hit(n) != nil
	start := time.Now()
	w := f.wantListed(n, m.Tree)
	var size int
	w.Keep = func(plain []byte) error {
		size = len(plain)
		return f.plant(ctx, n, plain, f.sched.Demanded())
	}
	if err := f.sched.Bring(ctx, w); err != nil {
		return fmt.Errorf("listing %q: %w", f.Path(n), err)
	}
	f.waited(n, uint64(size), start)
	if !led {
		f.ahead.listedFor(n)
	}
	return nil
}

// treeOf returns the mark of a directory that is not listed; ok is false for native ones.
func (f *FS) treeOf(n *Node) (m backing.Mark, ok bool, err error) {
	f.names.RLock()
	defer f.names.RUnlock()
	d, err := f.dir(n)
	if err != nil {
		return m, false, err
	}
	m, ok, err = f.store.MarkOf(backing.Ref{Dir: d})
	if err != nil || ok && !f.store.Native(&m) {
		return m, ok, err
	}
	if ok { // listed in this boot by a process that died before it settled
		f.loosen(n)
	}
	n.listed.Store(true)
	return m, false, nil
}

// loosen notes that a listed directory has files whose bytes are not durable yet.
func (f *FS) loosen(n *Node) {
	n.loose.Store(true)
	f.defers(n, 0)
}

// firm makes the bytes of a file durable that its directory's listing wrote,
// because it is to be changed or moved: a repair after a power cut would not find it.
func (f *FS) firm(n *Node) error {
	if n.typ != cvd.File {
		return nil
	}
	f.names.RLock()
	loose := n.parent != nil && n.parent.loose.Load()
	f.names.RUnlock()
	if !loose {
		return nil
	}
	file, err := f.openBacking(n, os.O_RDONLY)
	if err != nil {
		return err
	}
	return errors.Join(file.SyncData(), file.Close())
}

// firmName is firm for what dir holds under name.
func (f *FS) firmName(ctx context.Context, dir *Node, name string) error {
	if !dir.loose.Load() {
		return nil
	}
	n, _, err := f.Lookup(ctx, dir, name)
	if err != nil {
		return err
	}
	defer f.Forget(n, 1)
	return f.firm(n)
}

// plant lists n from its node's bytes, unless somebody was faster. Further parts
// of a very large directory are read from src.
func (f *FS) plant(ctx context.Context, n *Node, plain []byte, src chunk.Source) error {
	node, err := cvd.DecodeNode(plain)
	if err != nil {
		return err
	}
	if len(node.Children) > 0 { // nothing may be fetched under the lock: who waits for it could not be killed
		parts := gathered{src, chunk.Map{}}
		if err := node.Each(ctx, parts, func(*cvd.Entry) error { return nil }); err != nil {
			return err
		}
		src = parts.Map
	}
	n.plant.Lock()
	defer n.plant.Unlock()
	m, still, err := f.treeOf(n)
	if err != nil || !still {
		return err
	}
	r, err := f.reader(n)
	if err != nil {
		return err
	}
	defer r.Close()
	d := r.Dir()
	loose, err := f.plantAll(ctx, d, &m, node, src)
	if err != nil {
		return err
	}
	if m.Listed == 0 {
		if err := d.SetTimes("", cvd.Time{Nsec: backing.TimeOmit}, m.Mtime); err != nil {
			return err
		}
	}
	if !loose {
		if err := f.store.ClearDir(d); err != nil {
			return err
		}
	} else {
		if err := f.store.ListedDir(d, &m); err != nil {
			return err
		}
		f.loosen(n)
	}
	n.listed.Store(true)
	atomic.AddUint64(&f.stats.Listed, 1)
	return nil
}

// gathered is a source that keeps what was fetched.
type gathered struct {
	src chunk.Source
	chunk.Map
}

// Fetch implements chunk.Source.
func (g gathered) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	return g.src.Fetch(ctx, ids, func(i int, plain []byte, err error) error {
		if err == nil {
			_, err = g.Put(plain)
		}
		return got(i, plain, err)
	})
}

// plantAll makes a directory's entries, or where it was listed before a power cut,
// repairs them. loose says that bytes of some are not durable yet.
func (f *FS) plantAll(ctx context.Context, d *backing.Dir, m *backing.Mark, node *cvd.Node, src chunk.Source) (loose bool, err error) {
	put := f.store.Plant
	switch {
	case m.Listed != 0:
		put = f.store.Repair
	case f.store.InheritsACL(d):
		put = f.store.PlantFreed
	}
	err = node.Each(ctx, src, func(e *cvd.Entry) error {
		loose = loose || backing.Inline(e)
		return put(d, e)
	})
	return loose, err
}

// listBatch is how many directories one request of ListAll asks for.
const listBatch = 256

// ListAll lists every directory that is still a placeholder, many in one
// request; those that are removed meanwhile are left out. done is called for
// every directory listed, native ones included.
func (f *FS) ListAll(ctx context.Context, done func()) error {
	l := lister{f: f, done: done}
	f.table.Lock()
	f.root.refs++
	f.table.Unlock()
	l.stack = []*Node{f.root}
	defer l.dropAll()
	for len(l.stack) > 0 {
		if err := l.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lister walks depth first, so that its stack is bounded by depth times fan-out.
type lister struct {
	f     *FS
	done  func()
	stack []*Node
}

func (l *lister) dropAll() {
	for _, n := range l.stack {
		l.f.Forget(n, 1)
	}
}

// step takes up to listBatch directories from the stack, lists them and pushes what is below.
func (l *lister) step(ctx context.Context) error {
	if err := l.f.Quiet(ctx); err != nil {
		return err
	}
	n := min(len(l.stack), listBatch)
	batch := l.stack[len(l.stack)-n:]
	if err := l.listMany(ctx, batch); err != nil {
		return err
	}
	if err := l.f.settleFull(); err != nil {
		return err
	}
	batch = append([]*Node{}, batch...)
	l.stack = l.stack[:len(l.stack)-n]
	for i, d := range batch {
		err := l.push(d)
		l.f.Forget(d, 1)
		if err != nil {
			l.stack = append(l.stack, batch[i+1:]...)
			return err
		}
		l.done()
	}
	l.f.trim()
	return nil
}

func (l *lister) listMany(ctx context.Context, dirs []*Node) error {
	var ids []chunk.ID
	var of []*Node
	for _, d := range dirs {
		if d.listed.Load() {
			continue
		}
		m, ok, err := l.f.treeOf(d)
		if err = ignoreGone(err); err != nil {
			return err
		}
		if ok {
			ids, of = append(ids, m.Tree), append(of, d)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if err := l.f.room(); err != nil {
		return err
	}
	src := l.f.sched.Bulk()
	return src.Fetch(ctx, ids, func(i int, plain []byte, err error) error {
		if err == nil {
			atomic.AddUint64(&l.f.stats.BulkBytes, uint64(len(plain)))
			err = ignoreGone(l.f.plant(ctx, of[i], plain, src))
		}
		if err != nil {
			return fmt.Errorf("listing %q: %w", l.f.Path(of[i]), err)
		}
		return nil
	})
}

// push puts the directories in d on the stack.
func (l *lister) push(d *Node) error {
	return ignoreGone(l.f.each(d, func(dir *backing.Dir, e backing.DirEntry) error {
		if e.Type != cvd.Dir {
			return nil
		}
		n, _, err := l.f.child(d, dir, e.Name)
		if err == nil {
			l.stack = append(l.stack, n)
		}
		return ignoreGone(err)
	}))
}

// listPaths lists all directories on the way to paths, and those that paths lead to: those of one depth in one request,
// in the order of paths.
func (f *FS) listPaths(ctx context.Context, paths []string) error {
	for {
		var nodes []*Node
		blocked := map[*Node]struct{}{}
		for _, p := range paths {
			n, err := f.reach(p)
			if err != nil {
				return err
			}
			if _, known := blocked[n]; n != nil && !known {
				blocked[n] = struct{}{}
				nodes = append(nodes, n)
			} else if n != nil {
				f.Forget(n, 1)
			}
		}
		if len(nodes) == 0 {
			return nil
		}
		err := (&lister{f: f}).listMany(ctx, nodes)
		for _, n := range nodes {
			f.Forget(n, 1)
		}
		if err != nil {
			return err
		}
	}
}

// reach walks along path as far as directories are listed and returns the one
// that is not, or nil if the way is free or leads nowhere.
func (f *FS) reach(path string) (*Node, error) {
	n := f.root
	for name := range strings.SplitSeq(path, "/") {
		if blocked, err := f.unlisted(n); err != nil || blocked {
			return n, err
		}
		next, err := f.listedChild(n, name)
		f.Forget(n, 1)
		if gone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		n = next
	}
	if blocked, err := f.unlisted(n); err != nil || blocked {
		return n, err
	}
	f.Forget(n, 1)
	return nil, nil
}

func (f *FS) unlisted(n *Node) (bool, error) {
	if n.typ != cvd.Dir || n.listed.Load() {
		return false, nil
	}
	_, blocked, err := f.treeOf(n)
	return blocked, err
}

// listedChild finds an entry of a directory that is listed.
func (f *FS) listedChild(n *Node, name string) (*Node, error) {
	f.names.RLock()
	defer f.names.RUnlock()
	d, err := f.dir(n)
	if err != nil {
		return nil, err
	}
	next, _, err := f.childLocked(n, d, name)
	return next, err
}
