package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/local"
	"github.com/looming-project/looming/vfs/scan"
	"golang.org/x/sync/errgroup"
)

// noReuse, named as the tree to use again, stands for none.
const noReuse = "none"

// reuse is what this disk holds already: trees whose files make up most of a
// desktop that comes here. Their indexes are made beside everything else.
type reuse struct {
	app   *app
	trees []reused
	*local.Source
	// ready is closed when all indexes are made, or have failed, or after patience.
	ready    chan struct{}
	patience time.Duration
}

// Trees that nobody named are not waited for any longer than this: to read them may take longer than to fetch what they
// hold. Those that were named are meant.
const (
	patienceNamed = 24 * time.Hour
	patienceKnown = time.Minute
)

// reused is one tree.
type reused struct {
	knownTree
	index *local.Index
}

// openReuse opens the trees at paths; without any, those that this machine knows,
// but for what the work directory own holds.
func (a *app) openReuse(paths []string, own string) (*reuse, error) {
	r := &reuse{app: a, ready: make(chan struct{}), patience: patienceKnown}
	if len(paths) > 0 {
		r.patience = patienceNamed
	}
	works, err := a.shown().all()
	if err != nil {
		return nil, err
	}
	known, err := a.trees().all()
	if err != nil {
		return nil, fmt.Errorf("which trees of this machine are known: %w", err)
	}
	for _, w := range works {
		if w != own {
			known = append(known, knownTree{Path: filepath.Join(w, "backing"), target: targetOf(w)})
		}
	}
	chosen, err := chooseTrees(paths, known, targetOf(own))
	if err != nil {
		return nil, err
	}
	var indexes []*local.Index
	for _, k := range chosen {
		x, err := local.Open(a.indexDir(k.Path), k.Path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("files to use again: %w", err), r.close())
		}
		r.trees = append(r.trees, reused{k, x})
		indexes = append(indexes, x)
	}
	r.Source = local.NewSource(indexes...)
	return r, nil
}

// indexDir is where the index of a tree is.
func (a *app) indexDir(path string) string {
	return filepath.Join(a.dir, "reuse", chunk.Sum([]byte(path)).String()[:16])
}

// chooseTrees finds the trees that are named, or else chooses. A desktop that is
// shown at a place that is named is read beneath: through its mount it would be
// fetched.
func chooseTrees(paths []string, known []knownTree, target string) ([]knownTree, error) {
	if slices.Equal(paths, []string{noReuse}) {
		return nil, nil
	}
	if len(paths) == 0 {
		known = slices.DeleteFunc(known, func(k knownTree) bool { return k.Path == target })
		return known[:min(len(known), treesMax)], nil
	}
	var chosen []knownTree
	for _, p := range paths {
		path, err := filepath.Abs(p)
		if err != nil {
			return nil, err
		}
		if !isDir(path) {
			return nil, invalid("--reuse %s: there is no such directory", p)
		}
		i := slices.IndexFunc(known, func(k knownTree) bool { return k.Path == path || k.target == path })
		if i < 0 {
			chosen = append(chosen, knownTree{Path: path})
		} else {
			chosen = append(chosen, known[i])
		}
	}
	return chosen, nil
}

// near is the source that is asked first, nil if there is no tree.
func (r *reuse) near() chunk.Source {
	if r == nil || len(r.trees) == 0 {
		return nil
	}
	return r.Source
}

// named are the paths of the trees, as --reuse takes them.
func (r *reuse) named() []string {
	if len(r.trees) == 0 {
		return []string{noReuse}
	}
	paths := make([]string, len(r.trees))
	for i := range r.trees {
		paths[i] = r.trees[i].Path
	}
	return paths
}

// wait returns when all is indexed, or has taken too long.
func (r *reuse) wait(ctx context.Context) error {
	select {
	case <-r.ready:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run makes the indexes; quiet returns when nobody waits for bytes. A tree that
// cannot be indexed costs fetches and is no error.
func (r *reuse) run(ctx context.Context, quiet func(context.Context) error) error {
	ready := sync.OnceFunc(func() { close(r.ready) })
	defer ready()
	defer time.AfterFunc(r.patience, ready).Stop()
	works, err := r.app.shown().all()
	if err != nil {
		slog.Warn("which desktops are mounted here is not known", "err", err)
	}
	var g errgroup.Group
	for i := range r.trees {
		g.Go(func() error {
			k := &r.trees[i]
			err := k.index.Build(ctx, func(ctx context.Context, b *local.Builder) error {
				_, err := scan.Index(ctx, r.options(&k.knownTree, works), yielding{b, ctx, quiet})
				return err
			})
			if err != nil && ctx.Err() == nil {
				slog.Warn("not all of what this disk holds can be used again", "tree", k.Path, "err", err)
			}
			return nil
		})
	}
	return g.Wait()
}

// options are those of a scan that takes little from others.
func (r *reuse) options(k *knownTree, works []string) scan.Options {
	return scan.Options{
		Root: k.Path, CVD: k.CVD, Cache: filepath.Join(r.app.dir, cacheDir), Skip: append(works, r.app.dir), Workers: 2,
		Notice: func(text string) { slog.Debug("index of what this disk holds", "tree", k.Path, "notice", text) },
	}
}

func (r *reuse) close() error {
	var errs []error
	for _, k := range r.trees {
		errs = append(errs, k.index.Close())
	}
	return errors.Join(errs...)
}

// yielding is a scan.Sink that gives way to whoever waits for bytes.
type yielding struct {
	b     *local.Builder
	ctx   context.Context //nolint:containedctx // of the scan that it is made for
	quiet func(context.Context) error
}

// File implements scan.Sink.
func (y yielding) File(path string, size uint64, id chunk.ID, chunks []cvd.Ref) error {
	if err := y.quiet(y.ctx); err != nil {
		return err
	}
	return y.b.File(path, size, id, chunks)
}

// Chunk implements scan.Sink.
func (y yielding) Chunk(id chunk.ID, plain []byte) error { return y.b.Chunk(id, plain) }
