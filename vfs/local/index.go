package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/durable"
)

// ErrBusy says that another process makes the index.
var ErrBusy = errors.New("another process makes the index")

// Names in an index's directory.
const (
	indexName = "index"
	lockName  = "lock"
)

// placesMax is how many places of one chunk are kept, and tried.
const placesMax = 4

// Index says where the chunks of a tree lie. It is safe for concurrent use.
type Index struct {
	dir  string
	tree *tree

	mu sync.RWMutex
	// kept is the index on the disk, and those before it that somebody may still read; building the one in the making.
	kept     []*kept
	building *Builder
}

// kept is an index that is whole and on the disk.
type kept struct {
	f *os.File
	*run
}

// Open opens the index in dir of the tree at root. Where dir has none that can be used it is empty: Build makes one.
func Open(dir, root string) (*Index, error) {
	t, err := openTree(root)
	if err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		t.close()
		return nil, fmt.Errorf("index of %s: %w", root, err)
	}
	x := &Index{dir: dir, tree: t}
	if k, err := x.open(); err == nil {
		x.kept = []*kept{k}
	}
	return x, nil
}

func (x *Index) open() (*kept, error) {
	f, err := os.Open(filepath.Join(x.dir, indexName))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	var r *run
	if err == nil {
		r, err = readRun(f, info.Size())
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &kept{f, r}, nil
}

// Close lets go of the tree and the index. Nobody may use them any more.
func (x *Index) Close() error {
	x.tree.close()
	var errs []error
	for _, k := range x.kept {
		errs = append(errs, k.f.Close())
	}
	return errors.Join(errs...)
}

// Build makes the index anew from what fill adds, and puts it in the place of the old one when fill is through. Until
// then what was added is found as well as what the old one has. If fill fails the old one stays.
func (x *Index) Build(ctx context.Context, fill func(context.Context, *Builder) error) error {
	l, err := os.OpenFile(filepath.Join(x.dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := lock(l); err != nil {
		return fmt.Errorf("%s: %w", x.dir, err)
	}
	if _, err := durable.CleanTemp(x.dir); err != nil {
		return err
	}
	b, err := newBuilder(x.dir)
	if err != nil {
		return err
	}
	defer b.abort()
	x.show(b)
	defer x.show(nil)
	if err := fill(ctx, b); err != nil {
		return err
	}
	if err := b.finish(); err != nil {
		return fmt.Errorf("index %s: %w", x.dir, err)
	}
	return x.renew()
}

// show has lookups ask the index in the making.
func (x *Index) show(b *Builder) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.building = b
}

// renew has lookups ask the index that is on the disk now. Those under way may read the one before.
func (x *Index) renew() error {
	k, err := x.open()
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.kept = append([]*kept{k}, x.kept...)
	return nil
}

// spot is a place, and the heap that it is about.
type spot struct {
	place
	heap io.ReaderAt
}

// find returns where a chunk, or a whole file, is said to lie.
func (x *Index) find(id *chunk.ID, whole bool) (spots []spot) {
	x.mu.RLock()
	b, k := x.building, x.kept
	x.mu.RUnlock()
	collect := func(heap io.ReaderAt) func(*record) bool {
		return func(r *record) bool {
			if p, ok := r.place(); ok && (p.kind == ofWhole) == whole {
				spots = append(spots, spot{p, heap})
			}
			return len(spots) < 2*placesMax
		}
	}
	if b != nil {
		b.find(prefix(id), collect(b))
	}
	if len(k) > 0 {
		k[0].find(prefix(id), collect(k[0].f))
	}
	return spots
}
