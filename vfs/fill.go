package vfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// Item is a file as List shows it, for whoever plans what to fill.
type Item struct {
	// Path is below the root, slash-separated; Dir says that it is a directory.
	Path string
	Dir  bool
	Size uint64
	// ID is the file's content, zero if the file is native.
	ID chunk.ID
}

// Native says that there is nothing to fetch.
func (it *Item) Native() bool { return it.ID.IsZero() }

// List returns what the directory at path holds, in the order of names and from
// behind the name after, listing it in the background where it is a placeholder.
// Entries that are neither files nor directories are left out, and nothing is in
// a directory that is gone.
func (f *FS) List(ctx context.Context, path, after string) ([]Item, error) {
	items, err := f.list(ctx, path, after)
	return items, ignoreGone(err)
}

func (f *FS) list(ctx context.Context, path, after string) ([]Item, error) {
	n, err := f.walk(ctx, path)
	if err != nil {
		return nil, err
	}
	defer f.Forget(n, 1)
	if err := f.listQuietly(ctx, n); err != nil {
		return nil, err
	}
	prefix := path
	if prefix != "" {
		prefix += "/"
	}
	var items []Item
	err = f.each(n, func(d *backing.Dir, e backing.DirEntry) error {
		if e.Name <= after {
			return nil
		}
		it, ok, err := f.item(d, e)
		if ok {
			it.Path = prefix + e.Name
			items = append(items, it)
		}
		return ignoreGone(err)
	})
	slices.SortFunc(items, func(a, b Item) int { return strings.Compare(a.Path, b.Path) })
	return items, err
}

func (f *FS) item(d *backing.Dir, e backing.DirEntry) (Item, bool, error) {
	if e.Type == cvd.Dir {
		return Item{Dir: true}, true, nil
	}
	if e.Type != cvd.File {
		return Item{}, false, nil
	}
	ref := backing.Ref{Dir: d, Name: e.Name}
	m, marked, err := f.store.MarkOf(ref)
	if err != nil {
		return Item{}, false, err
	}
	if !marked {
		a, err := ref.Stat()
		return Item{Size: a.Size}, err == nil, err
	}
	return Item{Size: m.Size, ID: m.Content.ID}, true, nil
}

// listQuietly lists a directory that nobody waits for.
func (f *FS) listQuietly(ctx context.Context, n *Node) error {
	if n.listed.Load() {
		return nil
	}
	m, ok, err := f.treeOf(n)
	if err != nil || !ok {
		return err
	}
	if err := f.room(); err != nil {
		return err
	}
	plain, err := chunk.Get(ctx, f.sched.Bulk(), m.Tree)
	if err != nil {
		return err
	}
	atomic.AddUint64(&f.stats.BulkBytes, uint64(len(plain)))
	return f.plant(ctx, n, plain, f.sched.Bulk())
}

// walk finds the node at path, listing in the background on the way.
func (f *FS) walk(ctx context.Context, path string) (*Node, error) {
	n := f.root
	for name := range strings.SplitSeq(path, "/") {
		if name == "" {
			continue
		}
		next, err := f.step(ctx, n, name)
		f.Forget(n, 1)
		if err != nil {
			return nil, &fs.PathError{Op: "walk", Path: path, Err: err}
		}
		n = next
	}
	return n, nil
}

func (f *FS) step(ctx context.Context, n *Node, name string) (*Node, error) {
	if err := f.listQuietly(ctx, n); err != nil {
		return nil, err
	}
	return f.listedChild(n, name)
}

// Find returns an Item for each path, without a path where there is no such file. The names in a directory at a path are
// here then, and what says which chunks a large file has.
func (f *FS) Find(ctx context.Context, paths []string) ([]Item, error) {
	if err := f.listPaths(ctx, paths); err != nil {
		return nil, err
	}
	b := filler{f: f}
	defer b.forget()
	items := make([]Item, len(paths))
	var large []backing.Mark
	for i, p := range paths {
		n, err := b.find(ctx, p)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b.nodes = append(b.nodes, n)
		if n.typ != cvd.File {
			continue
		}
		var m backing.Mark
		if items[i], m, err = f.found(n, p); err != nil {
			return nil, err
		}
		large = append(large, m)
	}
	return items, f.bringLists(ctx, large)
}

// found is the Item of a file, with its mark if it is not native.
func (f *FS) found(n *Node, path string) (it Item, m backing.Mark, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := f.loadLocked(n); err != nil {
		return it, m, err
	}
	if n.file.state != native {
		m = n.file.mark
		return Item{Path: path, Size: m.Size, ID: m.Content.ID}, m, nil
	}
	a, err := f.Getattr(n)
	return Item{Path: path, Size: a.Size}, m, err
}

// gone says that a path, or a node, leads to nothing any more.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, ErrStale)
}

// Part is a file that is to be filled, or the bytes of it from From up to To. To is 0 for all.
type Part struct {
	Path     string
	From, To uint64
}

// Fill brings whole files, see FillParts.
func (f *FS) Fill(ctx context.Context, paths []string) []error {
	parts := make([]Part, len(paths))
	for i, p := range paths {
		parts[i].Path = p
	}
	return f.FillParts(ctx, parts)
}

// FillParts brings files and parts of files in the background, in their order and
// all in one request but for files that are larger than fillStep. It returns when
// they are here, with an error for each that is not; what is native, gone, or no
// file is left as it is. Of a part the chunks are brought that have a byte in it.
func (f *FS) FillParts(ctx context.Context, parts []Part) []error {
	b := filler{f: f, src: f.sched.Bulk(), errs: make([]error, len(parts))}
	defer b.forget()
	for i, p := range parts {
		b.item = i
		b.note(i, b.addPart(ctx, p))
	}
	b.fetch(ctx)
	if err := f.settleFull(); err != nil {
		b.note(0, err)
	}
	return b.errs
}

// FillRange brings the chunks of a file that start in the n bytes at off, in the
// background, and with lead the one that off lies in. It says whether there was
// any to bring. Ranges that lie side by side make the file whole, or with lead at
// the first a part of it, and may be filled at once: each chunk is fetched for one
// of them.
func (f *FS) FillRange(ctx context.Context, path string, off, n uint64, lead bool) (brought bool, err error) {
	b := filler{f: f, src: f.sched.Bulk(), errs: make([]error, 1)}
	defer b.forget()
	large, err := b.add(ctx, path)
	if err != nil {
		return false, err
	}
	if large != nil {
		if err := b.fillRange(ctx, large, off, off+n, lead); err != nil {
			return b.brought, fmt.Errorf("filling %q: %w", path, err)
		}
	} else if err := b.batch(ctx); err != nil {
		return b.brought, err
	}
	return b.brought, errors.Join(b.errs[0], f.settleFull())
}

func (f *FS) settleFull() error {
	if !f.late.full() {
		return nil
	}
	return f.Settle()
}

// fillStep is how many bytes of one large file are asked for in one request.
const fillStep = 16 << 20

// filler collects the chunks of one Fill. at is the directory of the last path,
// whose neighbours come next as a rule; item is the index of the file at work.
type filler struct {
	f     *FS
	src   chunk.Source
	at    *Node
	dir   string
	nodes []*Node
	item  int
	errs  []error
	ids   []chunk.ID
	// to is where each of ids goes: equal files are fetched once.
	to    [][]wanted
	index map[chunk.ID]int
	large []largeFile
	// brought says that something had to be fetched.
	brought bool
}

// wanted is where a chunk goes, for which item.
type wanted struct {
	item int
	keep func(plain []byte) error
}

type largeFile struct {
	item int
	node *Node
	part backing.Range
}

func (b *filler) note(item int, err error) {
	if err != nil && b.errs[item] == nil {
		b.errs[item] = err
	}
}

func (b *filler) forget() {
	for _, n := range b.nodes {
		b.f.Forget(n, 1)
	}
	if b.at != nil {
		b.f.Forget(b.at, 1)
	}
}

// add collects the chunk of a file that has one, and returns the node of one that has more.
func (b *filler) add(ctx context.Context, path string) (large *Node, err error) {
	n, err := b.find(ctx, path)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b.nodes = append(b.nodes, n)
	if n.typ != cvd.File {
		return nil, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := b.f.loadLocked(n); err != nil {
		return nil, fmt.Errorf("filling %q: %w", path, err)
	}
	switch n.file.state {
	case single:
		id := n.file.mark.Content.ID
		b.push(id, func(plain []byte) error { return b.f.store1(n, id, plain) })
	case ranged:
		return n, nil
	}
	return nil, nil
}

// addPart collects a part of a file, or all of it, or puts it off where it is large.
func (b *filler) addPart(ctx context.Context, p Part) error {
	n, err := b.add(ctx, p.Path)
	if n == nil || err != nil {
		return err
	}
	n.mu.Lock()
	r := backing.Range{Start: p.From, End: n.file.mark.Size}
	n.mu.Unlock()
	if p.To > 0 {
		r.End = min(r.End, p.To)
	}
	if r.Start >= r.End {
		return nil
	}
	if r.Len() > fillStep {
		b.large = append(b.large, largeFile{b.item, n, r})
		return nil
	}
	if p.From == 0 && p.To == 0 {
		if whole, err := b.f.clone(ctx, n); err != nil || whole {
			return err
		}
	}
	chunks, err := b.f.chunksIn(ctx, n, r, b.src)
	if err != nil {
		return fmt.Errorf("filling %q: %w", p.Path, err)
	}
	for _, c := range chunks {
		b.want(n, c)
	}
	return nil
}

func (b *filler) find(ctx context.Context, path string) (*Node, error) {
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	if b.at == nil || b.dir != dir {
		n, err := b.f.walk(ctx, dir)
		if err != nil {
			return nil, err
		}
		if b.at != nil {
			b.f.Forget(b.at, 1)
		}
		b.at, b.dir = n, dir
	}
	return b.f.step(ctx, b.at, name)
}

func (b *filler) push(id chunk.ID, keep func(plain []byte) error) {
	i, known := b.index[id]
	if !known {
		if b.index == nil {
			b.index = map[chunk.ID]int{}
		}
		i = len(b.ids)
		b.index[id] = i
		b.ids, b.to = append(b.ids, id), append(b.to, nil)
	}
	b.to[i] = append(b.to[i], wanted{b.item, keep})
}

func (b *filler) fetch(ctx context.Context) {
	if err := b.batch(ctx); err != nil {
		for i := range b.errs {
			b.note(i, err)
		}
		return
	}
	for _, l := range b.large {
		b.item = l.item
		b.note(l.item, b.fillRange(ctx, l.node, l.part.Start, l.part.End, true))
	}
}

// batch fetches what was collected in one request. Its error is the request's;
// those of single chunks are noted with their items.
func (b *filler) batch(ctx context.Context) error {
	if len(b.ids) == 0 {
		return nil
	}
	if err := b.f.room(); err != nil {
		return err
	}
	ids, to := b.ids, b.to
	b.ids, b.to, b.index, b.brought = nil, nil, nil, true
	return b.src.Fetch(ctx, ids, func(i int, plain []byte, err error) error {
		if err == nil {
			atomic.AddUint64(&b.f.stats.BulkBytes, uint64(len(plain)))
		}
		for _, w := range to[i] {
			if err == nil {
				b.note(w.item, w.keep(plain))
			} else {
				b.note(w.item, err)
			}
		}
		return nil
	})
}

// fillRange brings the chunks of a large file that start in [from, to), and with
// lead the one that from lies in, fillStep at a time.
func (b *filler) fillRange(ctx context.Context, n *Node, from, to uint64, lead bool) error {
	if whole, err := b.f.clone(ctx, n); err != nil || whole {
		return err
	}
	for at := from; at < to; at += fillStep {
		if err := b.f.Quiet(ctx); err != nil {
			return err
		}
		chunks, err := b.f.chunksIn(ctx, n, backing.Range{Start: at, End: min(at+fillStep, to)}, b.src)
		if err != nil {
			return err
		}
		for _, p := range chunks {
			if p.Start >= at || lead && at == from {
				b.want(n, p)
			}
		}
		if err := b.batch(ctx); err != nil {
			return err
		}
		if err := b.f.settleFull(); err != nil {
			return err
		}
	}
	return nil
}

// want adds a chunk of a large file to the batch, unless it is here.
func (b *filler) want(n *Node, p placed) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file.state != ranged || n.file.part.Present.Holds(p.Range) {
		return
	}
	b.push(p.id, func(plain []byte) error { return b.f.storeRange(n, p, plain) })
}

// Remaining returns paths of what is not native, at most remainingMax of them.
func (f *FS) Remaining(ctx context.Context) ([]string, error) {
	var out []string
	err := f.store.Remaining(ctx, func(path string, _ backing.Mark) error {
		if out = append(out, path); len(out) == remainingMax {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return out, err
}

const remainingMax = 100

var errEnough = errors.New("enough")
