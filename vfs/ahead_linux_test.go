package vfs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/vfstest"
)

// far is a desktop behind a line that has a delay and no bound of rate. Time is
// synthetic: what a call takes, over the delay, is its round trips.
type far struct {
	*testing.T
	tr                  *vfstest.Tree
	demand, ahead, bulk *vfstest.Source
	f                   *vfs.FS
	sys                 vfstest.Core
}

const delay = 50 * time.Millisecond

// away runs a test of a tree that is far away.
func away(t *testing.T, tree func(*vfstest.Tree), test func(*far)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &far{T: t, tr: vfstest.NewTree(t)}
		tree(w.tr)
		root := w.tr.Finish()
		w.demand, w.ahead, w.bulk = vfstest.NewSource(w.tr.Map), vfstest.NewSource(w.tr.Map), vfstest.NewSource(w.tr.Map)
		for _, s := range []*vfstest.Source{w.demand, w.ahead, w.bulk} {
			s.Delay(delay)
		}
		var err error
		w.f, err = vfs.Open(context.Background(), vfs.Options{
			Backing: filepath.Join(dir, "backing"), Side: filepath.Join(dir, "side"),
			Demand: w.demand, Ahead: w.ahead, Bulk: w.bulk, Root: root,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.sys = vfstest.Core{F: w.f}
		test(w)
		if err := w.f.Close(); err != nil {
			t.Error(err)
		}
	})
}

// trips is how many round trips call waits for.
func (w *far) trips(call func()) int {
	start := time.Now()
	call()
	return int(time.Since(start) / delay)
}

// once checks that no chunk was brought twice to whoever waits, now or soon.
func (w *far) once() {
	w.Helper()
	times := w.demand.Times()
	for id, n := range w.ahead.Times() {
		times[id] += n
	}
	for id, n := range times {
		if n > 1 {
			w.Errorf("chunk %s was brought %d times", id, n)
		}
	}
}

func (w *far) read(p string) {
	w.Helper()
	if err := vfstest.CheckBody(w.sys, p, w.tr.Want[p].Body); err != nil {
		w.Errorf("%s: %v", p, err)
	}
}

// walk goes over the tree as programs do, depth first, in the order of the listing
// or in that of names, and calls file for each file until it says no.
func (w *far) walk(dir string, sorted bool, file func(p string) bool) bool {
	w.Helper()
	names, err := w.sys.ReadDir(dir)
	if err != nil {
		w.Fatal(err)
	}
	if sorted {
		slices.Sort(names)
	}
	for _, name := range names {
		p := name
		if dir != "" {
			p = dir + "/" + name
		}
		if w.tr.Want[p].Type == cvd.Dir {
			if !w.walk(p, sorted, file) {
				return false
			}
		} else if !file(p) {
			return false
		}
	}
	return true
}

// library has dirs directories, with files small files each, one of eight large.
func library(dirs, files int) func(*vfstest.Tree) {
	return func(tr *vfstest.Tree) {
		for d := range dirs {
			for i := range files {
				size := 3000 + d*files + i
				if i%8 == 7 {
					size += 300_000
				}
				tr.AddFile(fmt.Sprintf("%d/lib%d/f%03d", d/8, d, i*37%101), noise(size), 100<<10)
			}
		}
	}
}

// noise is bytes of which no two runs are equal.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b) //nolint:errcheck // it never fails
	return b
}

// Who reads file after file waits for few round trips, in whichever order he goes,
// and nothing is brought twice.
func TestSweep(t *testing.T) {
	for _, sorted := range []bool{false, true} {
		away(t, library(40, 24), func(w *far) {
			files := 0
			trips := w.trips(func() {
				w.walk("", sorted, func(p string) bool {
					w.read(p)
					files++
					return true
				})
			})
			if files != 960 || trips > 60 {
				w.Errorf("sorted %v: %d round trips for %d files", sorted, trips, files)
			}
			w.once()
			if n := w.demand.Requests.Load() + w.ahead.Requests.Load(); n > 200 {
				w.Errorf("%d requests", n)
			}
			w.Logf("sorted %v: %d round trips, %d requests of demand, %d ahead", sorted, trips, w.demand.Requests.Load(), w.ahead.Requests.Load())
		})
	}
}

// A sweep brings no more than was read, and a window's least, after its reader has stopped.
func TestSweepStops(t *testing.T) {
	away(t, library(40, 24), func(w *far) {
		n := 0
		w.walk("", false, func(p string) bool {
			w.read(p)
			n++
			return n < 20
		})
		synctest.Wait()
		time.Sleep(time.Minute)
		if got := w.ahead.Fetched.Load(); got > 150 {
			w.Errorf("%d chunks were brought ahead of %d files", got, n)
		}
	})
}

// Who lists a whole tree waits for its levels, not for each directory.
func TestListingByLevels(t *testing.T) {
	tree := func(tr *vfstest.Tree) {
		for i := range 8 * 8 * 8 {
			tr.AddFile(fmt.Sprintf("a%d/b%d/c%d/f", i/64, i/8, i), []byte(fmt.Sprint(i)), 1)
		}
	}
	away(t, tree, func(w *far) {
		dirs := 1 + 8 + 64 + 512
		trips := w.trips(func() { w.walk("", false, func(string) bool { return true }) })
		if trips > 16 {
			w.Errorf("%d round trips for %d directories in 4 levels", trips, dirs)
		}
		w.once()
		w.Logf("%d round trips, %d requests of demand, %d ahead", trips, w.demand.Requests.Load(), w.ahead.Requests.Load())
	})
}

// Who reads a large file from one end to the other waits for few round trips.
func TestStream(t *testing.T) {
	body := noise(20_000_000)
	away(t, func(tr *vfstest.Tree) { tr.AddFile("large", body, 100<<10) }, func(w *far) {
		trips := w.trips(func() { w.read("large") })
		if trips > 25 {
			w.Errorf("%d round trips for %d chunks", trips, len(body)/(100<<10))
		}
		w.once()
		w.Logf("%d round trips, %d requests of demand, %d ahead", trips, w.demand.Requests.Load(), w.ahead.Requests.Load())
	})
}

// Who reads here and there gets what he asks for, and nothing else is brought.
func TestRandomReadsBringNothingAhead(t *testing.T) {
	body := noise(20_000_000)
	tree := func(tr *vfstest.Tree) {
		tr.AddFile("large", body, 100<<10)
		for i := range 500 {
			tr.AddFile(fmt.Sprintf("many/f%03d", i), vfstest.Body(3000+i, byte(i)), 1)
		}
	}
	away(t, tree, func(w *far) {
		if _, err := w.sys.ReadDir("many"); err != nil {
			w.Fatal(err)
		}
		synctest.Wait()
		before := w.ahead.Fetched.Load()
		r := rand.New(rand.NewPCG(1, 2))
		for range 100 {
			w.read(fmt.Sprintf("many/f%03d", r.IntN(500)))
		}
		f, err := w.sys.Open("large", os.O_RDONLY, 0)
		if err != nil {
			w.Fatal(err)
		}
		buf := make([]byte, 4096)
		for range 50 {
			at := 100_000 + r.IntN(len(body)-200_000)
			if _, err := f.ReadAt(buf, int64(at)); err != nil || string(buf) != string(body[at:at+len(buf)]) {
				w.Errorf("at %d: %v", at, err)
			}
		}
		if err := f.Close(); err != nil {
			w.Error(err)
		}
		synctest.Wait()
		if n := w.ahead.Fetched.Load() - before; n > 0 {
			w.Errorf("%d chunks were brought ahead", n)
		}
		w.once()
	})
}

// A demand of somebody else waits for its own round trip while a sweep stands, and
// not much longer where the sweep has asked for that very chunk (invariant 5).
func TestDemandBesideSweep(t *testing.T) {
	away(t, library(8, 100), func(w *far) {
		n := 0
		var last string
		w.walk("", false, func(p string) bool {
			w.read(p)
			n, last = n+1, p
			return n < 40
		})
		w.ahead.Delay(time.Hour)
		dir := filepath.Dir(last)
		names, err := w.sys.ReadDir(dir)
		if err != nil {
			w.Fatal(err)
		}
		cold := names[slices.Index(names, filepath.Base(last))+1:]
		for _, c := range []struct {
			at    int
			bound time.Duration
		}{{len(cold) - 1, 2 * delay}, {0, 5 * time.Second}} {
			p := dir + "/" + cold[c.at]
			start := time.Now()
			w.read(p)
			if took := time.Since(start); took > c.bound {
				w.Errorf("reading %s, the %d. after the sweep's reader, took %v", p, c.at, took)
			}
		}
	})
}

// Who is not to have content fetched gets an error at once, reads what is here, and
// lists directories.
func TestBarred(t *testing.T) {
	away(t, library(2, 8), func(w *far) {
		barred := vfs.Bar(context.Background(), func() bool { return true })
		var small, large, here string
		w.walk("", true, func(p string) bool {
			switch size := len(w.tr.Want[p].Body); {
			case size > chunk.WholeMax:
				large = p
			case here == "":
				w.read(p)
				here = p
			default:
				small = p
			}
			return true
		})
		synctest.Wait()
		requests := w.demand.Requests.Load() + w.ahead.Requests.Load()
		for p, want := range map[string]error{small: syscall.EPERM, large: syscall.EPERM, here: nil} {
			n := w.find(p)
			h, err := w.f.Open(barred, n, os.O_RDONLY)
			if !errors.Is(err, want) || want != nil && !errors.Is(err, vfs.ErrBarred) {
				w.Errorf("opening %s: %v, want %v", p, err, want)
			}
			if err == nil {
				if _, err := h.ReadAt(barred, make([]byte, 10), 0); err != nil {
					w.Errorf("reading %s: %v", p, err)
				}
				w.close(h)
			}
			w.f.Forget(n, 1)
		}
		n := w.find(large)
		h, err := w.f.Open(context.Background(), n, os.O_RDONLY)
		if err != nil {
			w.Fatal(err)
		}
		if _, err := h.ReadAt(barred, make([]byte, 10), 0); !errors.Is(err, vfs.ErrBarred) {
			w.Errorf("reading what somebody else has opened: %v", err)
		}
		w.close(h)
		w.f.Forget(n, 1)
		synctest.Wait()
		if n := w.demand.Requests.Load() + w.ahead.Requests.Load() - requests; n > 0 {
			w.Errorf("%d requests were made for it", n)
		}
	})
}

func (w *far) close(h *vfs.Handle) {
	w.Helper()
	if err := h.Close(); err != nil {
		w.Error(err)
	}
}

// find returns the node at a path, with a reference.
func (w *far) find(p string) *vfs.Node {
	w.Helper()
	n := w.f.Root()
	for name := range strings.SplitSeq(p, "/") {
		next, _, err := w.f.Lookup(context.Background(), n, name)
		w.f.Forget(n, 1)
		if err != nil {
			w.Fatal(err)
		}
		n = next
	}
	return n
}
