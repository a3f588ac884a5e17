//go:build linux

package fuse_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/fuse"
	"github.com/looming-project/looming/vfs/vfstest"
)

var (
	randomFor  = flag.Duration("random.for", 4*time.Second, "how long each test of random operations goes on")
	randomSeed = flag.Uint64("random.seed", 0, "the seed of the random operations; 0 takes a new one")
)

// twins is a mounted desktop, some of it here, some of it half, some not, and
// beside it a plain directory that holds the same. What is done to one is done to
// the other, and has to come out the same (invariant 4).
type twins struct {
	*testing.T
	r     *rand.Rand
	tree  *vfstest.Tree
	src   *vfstest.Source
	dir   string
	fs    *vfs.FS
	mount *fuse.Mount
	done  []string
}

// newTwins mounts the tree. The seed is in the log of a test that fails.
func newTwins(t *testing.T, fill func(*vfstest.Tree)) *twins {
	seed := *randomSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-random.seed %d", seed)
	w := &twins{T: t, r: rand.New(rand.NewPCG(seed, 1)), tree: vfstest.NewTree(t), dir: t.TempDir()}
	fill(w.tree)
	w.tree.Finish()
	w.src = vfstest.NewSource(w.tree.Map)
	for _, p := range w.tree.Paths() {
		e := w.tree.Want[p]
		at := filepath.Join(w.plain(), p)
		if e.Body == nil {
			w.must(os.MkdirAll(at, 0o755))
		} else {
			w.must(os.WriteFile(at, e.Body, 0o644))
		}
	}
	w.must(os.Mkdir(w.shown(), 0o755))
	w.open()
	t.Cleanup(w.close)
	for i, p := range w.tree.Files() { // every third native, every third half here
		switch i % 3 {
		case 0:
			w.must(errors.Join(w.fs.Fill(t.Context(), []string{p})...))
		case 1:
			w.bring(t.Context(), p, w.r.Uint64N(200_000))
		}
	}
	w.must(w.fs.Settle())
	return w
}

func (w *twins) plain() string { return filepath.Join(w.dir, "plain") }
func (w *twins) shown() string { return filepath.Join(w.dir, "mnt") }

func (w *twins) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *twins) open() {
	var err error
	w.fs, err = vfs.Open(context.Background(), vfs.Options{
		Backing: filepath.Join(w.dir, "backing"), Side: filepath.Join(w.dir, "side"),
		Demand: w.src, Bulk: w.src, Root: w.tree.Finish(),
	})
	w.must(err)
	w.mount, err = fuse.New(w.fs, w.shown(), fuse.Options{})
	w.must(err)
}

func (w *twins) close() {
	if err := w.mount.Unmount(); err != nil {
		w.Error(err, w.mount.Detach())
	}
	if err := w.fs.Close(); err != nil {
		w.Error(err)
	}
}

// bring fetches a part of a file in the background; what is gone needs nothing.
func (w *twins) bring(ctx context.Context, p string, at uint64) {
	if _, err := w.fs.FillRange(ctx, p, at, 30_000, false); err != nil && ctx.Err() == nil {
		w.Errorf("filling %s: %v", p, err)
	}
}

// filling brings and settles parts of files until the returned function is called.
func (w *twins) filling() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	r := rand.New(rand.NewPCG(w.r.Uint64(), 2))
	files := w.tree.Files()
	all.Go(func() {
		for ctx.Err() == nil {
			w.bring(ctx, files[r.IntN(len(files))], r.Uint64N(300_000))
			if err := w.fs.Settle(); err != nil {
				w.Error(err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(r.IntN(20)) * time.Millisecond):
			}
		}
	})
	return func() {
		cancel()
		all.Wait()
	}
}

// result is what an operation gave: bytes, and an error's number.
type result struct {
	out []byte
	err error
}

// both does op to the plain directory and to the desktop, and compares.
func (w *twins) both(what string, op func(dir string) ([]byte, error)) {
	w.Helper()
	if w.done = append(w.done, what); len(w.done) > 30 {
		w.done = w.done[1:]
	}
	var res [2]result
	for i, dir := range []string{w.plain(), w.shown()} {
		res[i].out, res[i].err = op(dir)
	}
	if number(res[0].err) != number(res[1].err) || !bytes.Equal(res[0].out, res[1].out) {
		w.Fatalf("%s: %v on the plain directory, %v on the desktop; %d and %d bytes, the first that differs is %d\nbefore it:%s",
			what, res[0].err, res[1].err, len(res[0].out), len(res[1].out), firstDiff(res[0].out, res[1].out), lines(w.done))
	}
}

// number is the number of an error: texts and paths differ.
func number(err error) error {
	if n := syscall.Errno(0); errors.As(err, &n) {
		return n
	}
	return err
}

func firstDiff(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func lines(all []string) (s string) {
	for _, l := range all {
		s += fmt.Sprintf("\n\t%s", l)
	}
	return s
}
