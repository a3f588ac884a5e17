package history_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/fetch"
	"github.com/looming-project/looming/vfs/history"
	"github.com/looming-project/looming/vfs/vfstest"
)

// asked counts how often the list is asked for.
type asked struct {
	vfstest.Past
	one, all atomic.Int64
}

func (a *asked) Snapshot(ctx context.Context, name string) (cvd.Snapshot, error) {
	a.one.Add(1)
	return a.Past.Snapshot(ctx, name)
}

func (a *asked) Snapshots(ctx context.Context) ([]cvd.Snapshot, error) {
	a.all.Add(1)
	return a.Past.Snapshots(ctx)
}

// world is a history with one snapshot, of one tree.
type world struct {
	*testing.T
	list *asked
	src  *vfstest.Source
	h    *history.History
	snap cvd.Snapshot
}

func newWorld(t *testing.T, tr *vfstest.Tree) *world {
	w := &world{T: t, list: &asked{}, src: vfstest.NewSource(tr.Map)}
	w.snap = cvd.Snapshot{ID: cvd.SnapshotID{1}, Root: tr.Finish(), Taken: time.Unix(1e9, 0)}
	w.list.Add(w.snap)
	w.h = history.New(w.list, fetch.New(fetch.Options{Demand: w.src, Bulk: w.src, Deadline: 10 * time.Second}))
	return w
}

func (w *world) find(path ...string) (*history.Entry, error) {
	e, err := w.h.Top(), error(nil)
	for _, name := range path {
		if e, err = w.h.Lookup(w.Context(), e, name); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// What the server says of a snapshot holds for a while; then it is asked again, and what it does not
// have any more is gone. Out of reach, what is known serves (invariant 9).
func TestKnownForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := vfstest.NewTree(t)
		tr.AddFile("dir/f", []byte("x"), 1)
		w := newWorld(t, tr)
		name := w.snap.Name()
		for range 3 {
			_, err := w.find(name, "dir", "f")
			w.must(err)
		}
		if n := w.list.one.Load(); n != 1 {
			t.Errorf("the server was asked %d times for one snapshot", n)
		}
		w.list.Away(true)
		w.src.Set(vfstest.Dead)
		time.Sleep(history.Fresh)
		start := time.Now()
		for range 3 {
			_, err := w.find(name, "dir", "f")
			w.must(err)
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("out of reach, what is known took %v, want one deadline", d)
		}
		if _, err := w.find("01"); !errors.Is(err, fetch.ErrOffline) {
			t.Errorf("out of reach, by the start of an id: %v", err)
		}
		if _, err := w.h.List(t.Context(), w.h.Top()); !errors.Is(err, fetch.ErrOffline) {
			t.Errorf("out of reach, all: %v", err)
		}
		w.list.Away(false)
		w.src.Set(vfstest.Whole)
		w.list.Remove(w.snap.ID)
		time.Sleep(history.Fresh)
		if _, err := w.find(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a snapshot that is no more: %v", err)
		}
		w.list.Add(w.snap)
		_, err := w.find(name)
		w.must(err)
		w.list.Remove(w.snap.ID)
		if all, err := w.h.List(t.Context(), w.h.Top()); err != nil || len(all) != 0 {
			t.Errorf("all: %v, %v", all, err)
		}
		if _, err := w.find(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a snapshot that is not in the list: %v", err)
		}
	})
}

// Programs look for all kinds of names; the server is asked for those that can be a snapshot's.
func TestNamesThatAreNone(t *testing.T) {
	w := newWorld(t, vfstest.NewTree(t))
	for _, name := range []string{".git", ".Trash", "autorun.inf", "2026", "12345678901234567", w.snap.Name() + "~"} {
		before := w.list.one.Load()
		if _, err := w.find(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if name != "2026" && w.list.one.Load() != before {
			t.Errorf("the server was asked for %s", name)
		}
	}
}

// What was fetched is not fetched again while there is room for it, and memory is bounded (invariant 10).
func TestFetchedOnce(t *testing.T) {
	tr := vfstest.NewTree(t)
	body := vfstest.Body(2<<20, 1)
	tr.AddFile("dir/f", body, 100_000)
	for i := range 60 {
		tr.AddFile(fmt.Sprintf("much/%02d", i), vfstest.Body(1<<20, byte(i)), 1<<20)
	}
	w := newWorld(t, tr)
	read := func(name ...string) {
		t.Helper()
		e, err := w.find(append([]string{w.snap.Name()}, name...)...)
		w.must(err)
		f, err := w.h.Open(t.Context(), e)
		w.must(err)
		buf := make([]byte, 64<<10)
		for at := int64(0); at < int64(f.Size()); at += int64(len(buf)) {
			_, err := f.ReadAt(t.Context(), buf, at)
			w.must(err)
		}
	}
	read("dir", "f")
	once := w.src.Fetched.Load()
	read("dir", "f")
	if again := w.src.Fetched.Load(); again != once {
		t.Errorf("%d chunks were fetched, and %d more for the same", once, again-once)
	}
	for i := range 60 {
		read("much", fmt.Sprintf("%02d", i))
	}
	before := w.src.Fetched.Load()
	read("much", "59")
	if n := w.src.Fetched.Load() - before; n != 0 {
		t.Errorf("the latest file was fetched again: %d chunks", n)
	}
	read("much", "00")
	if w.src.Fetched.Load() == before {
		t.Error("60 MiB were kept in memory")
	}
	if w.h.Count.Load() != uint64(w.src.Fetched.Load()) || w.h.Bytes.Load() < 62<<20 {
		t.Errorf("%d chunks and %d bytes are said to be fetched, were %d", w.h.Count.Load(), w.h.Bytes.Load(), w.src.Fetched.Load())
	}
}

// Bytes that are not those of the tree reach nobody (invariant 3).
func TestDamagedPast(t *testing.T) {
	tr := vfstest.NewTree(t)
	body := vfstest.Body(300_000, 1)
	tr.AddFile("f", body, 100_000)
	w := newWorld(t, tr)
	e, err := w.find(w.snap.Name(), "f")
	w.must(err)
	f, err := w.h.Open(t.Context(), e)
	w.must(err)
	second := e.Content.Chunks[1].ID
	fails := func(f *history.File, fault vfstest.Fault, want error) {
		t.Helper()
		w.src.SetFor(second, fault)
		if n, err := f.ReadAt(t.Context(), make([]byte, 200_000), 50_000); n != 0 || !errors.Is(err, want) {
			t.Errorf("%d bytes, %v, want %v", n, err, want)
		}
	}
	fails(f, vfstest.Damaged, chunk.ErrDamaged)
	fails(f, vfstest.Lost, chunk.ErrNotFound)
	w.src.SetFor(second, vfstest.Whole)
	buf := make([]byte, 400_000)
	if n, err := f.ReadAt(t.Context(), buf, 50_000); err != nil || string(buf[:n]) != string(body[50_000:]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	w = newWorld(t, tr)
	e, err = w.find(w.snap.Name(), "f")
	w.must(err)
	f, err = w.h.Open(t.Context(), e)
	w.must(err)
	fails(f, vfstest.Short, chunk.ErrDamaged)
}
