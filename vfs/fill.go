package vfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"

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

// List returns what the directory at path holds, listing it in the background
// where it is a placeholder. Entries that are neither files nor directories are left out.
func (f *FS) List(ctx context.Context, path string) ([]Item, error) {
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
		it, ok, err := f.item(d, e)
		if ok {
			it.Path = prefix + e.Name
			items = append(items, it)
		}
		return ignoreGone(err)
	})
	return items, err
}

func (f *FS) item(d *backing.Dir, e backing.DirEntry) (Item, bool, error) {
	if e.Type == cvd.Dir {
		return Item{Dir: true}, true, nil
	}
	if e.Type != cvd.File {
		return Item{}, false, nil
	}
	m, marked, err := f.store.MarkOf(backing.Ref{Dir: d, Name: e.Name})
	if err != nil || !marked {
		return Item{}, err == nil, err
	}
	return Item{Size: m.Size, ID: m.Content.ID}, true, nil
}

// listQuietly lists a directory that nobody waits for.
func (f *FS) listQuietly(ctx context.Context, n *Node) error {
	if n.listed.Load() {
		return nil
	}
	tree, ok, err := f.treeOf(n)
	if err != nil || !ok {
		return err
	}
	plain, err := chunk.Get(ctx, f.sched.Bulk(), tree)
	if err != nil {
		return err
	}
	atomic.AddUint64(&f.stats.BulkBytes, uint64(len(plain)))
	return f.plant(ctx, n, tree, plain, f.sched.Bulk())
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
	f.names.RLock()
	defer f.names.RUnlock()
	d, err := f.dir(n)
	if err != nil {
		return nil, err
	}
	next, _, err := f.childLocked(n, d, name)
	return next, err
}

// Fill brings files in the background, all in one request. It returns when they
// are here; what is native, gone, or not a file is left as it is. Files of more
// than one chunk are brought whole, in ranges of fillRange.
func (f *FS) Fill(ctx context.Context, paths []string) error {
	b := filler{f: f}
	defer b.forget()
	for _, p := range paths {
		if err := b.add(ctx, p); err != nil {
			return err
		}
	}
	if err := b.fetch(ctx); err != nil {
		return err
	}
	if f.late.full() {
		return f.Settle()
	}
	return nil
}

// fillRange is how many bytes of one large file are asked for in one request.
const fillRange = 16 << 20

// filler collects the chunks of one Fill. at is the directory of the last path,
// whose neighbours come next as a rule.
type filler struct {
	f     *FS
	at    *Node
	dir   string
	nodes []*Node
	ids   []chunk.ID
	to    []func(plain []byte) error
	large []*Node
}

func (b *filler) forget() {
	for _, n := range b.nodes {
		b.f.Forget(n, 1)
	}
	if b.at != nil {
		b.f.Forget(b.at, 1)
	}
}

func (b *filler) add(ctx context.Context, path string) error {
	n, err := b.find(ctx, path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	b.nodes = append(b.nodes, n)
	if n.typ != cvd.File {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := b.f.loadLocked(n); err != nil {
		return fmt.Errorf("filling %q: %w", path, err)
	}
	switch n.file.state {
	case single:
		id := n.file.mark.Content.ID
		b.ids = append(b.ids, id)
		b.to = append(b.to, func(plain []byte) error { return b.f.store1(n, id, plain) })
	case ranged:
		b.large = append(b.large, n)
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

func (b *filler) fetch(ctx context.Context) error {
	if err := b.batch(ctx); err != nil {
		return err
	}
	for _, n := range b.large {
		if err := b.fillLarge(ctx, n); err != nil {
			return fmt.Errorf("filling %q: %w", b.f.Path(n), err)
		}
	}
	return nil
}

// batch fetches what was collected in one request.
func (b *filler) batch(ctx context.Context) error {
	if len(b.ids) == 0 {
		return nil
	}
	ids, to := b.ids, b.to
	b.ids, b.to = nil, nil
	var errs []error
	err := b.f.sched.Bulk().Fetch(ctx, ids, func(i int, plain []byte, err error) error {
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		atomic.AddUint64(&b.f.stats.BulkBytes, uint64(len(plain)))
		return to[i](plain)
	})
	return errors.Join(append(errs, err)...)
}

func (b *filler) fillLarge(ctx context.Context, n *Node) error {
	n.mu.Lock()
	size := n.file.mark.Size
	n.mu.Unlock()
	src := b.f.sched.Bulk()
	for at := uint64(0); at < size; at += fillRange {
		if err := b.f.Quiet(ctx); err != nil {
			return err
		}
		chunks, err := b.f.chunksIn(ctx, n, backing.Range{Start: at, End: min(at+fillRange, size)}, src)
		if err != nil {
			return err
		}
		for _, p := range chunks {
			b.want(n, p)
		}
		if err := b.batch(ctx); err != nil {
			return err
		}
		if b.f.late.full() {
			if err := b.f.Settle(); err != nil {
				return err
			}
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
	b.ids = append(b.ids, p.id)
	b.to = append(b.to, func(plain []byte) error { return b.f.storeRange(n, p, plain) })
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
