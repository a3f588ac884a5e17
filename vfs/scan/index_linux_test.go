package scan

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/remote/remotetest"
	"golang.org/x/sys/unix"
)

// told is a Sink that remembers.
type told struct {
	nodes chunk.Map
	files map[string][]cvd.Ref
	ids   map[string]chunk.ID
	stop  error
}

func newTold() *told {
	return &told{nodes: chunk.Map{}, files: map[string][]cvd.Ref{}, ids: map[string]chunk.ID{}}
}

func (s *told) File(path string, _ uint64, id chunk.ID, chunks []cvd.Ref) error {
	s.files[path], s.ids[path] = chunks, id
	return s.stop
}

func (s *told) Chunk(id chunk.ID, plain []byte) error {
	if chunk.Sum(plain) != id {
		return errors.New("another id")
	}
	_, err := s.nodes.Put(plain)
	return err
}

// indexed indexes a tree.
func indexed(t *testing.T, o Options) (*told, Tree) {
	t.Helper()
	s := newTold()
	o.Unreadable = func(path string, err error) { t.Errorf("%q is unreadable: %v", short(path), err) }
	o.Notice = func(text string) { t.Errorf("notice: %s", text) }
	o.Now = later
	o.Count = &Counters{}
	tree, err := Index(context.Background(), o, s)
	must(t, err)
	if n := o.Count.BytesRead.Load(); o.Cache == "" && n == 0 {
		t.Error("nothing was read")
	}
	s.check(t, o.Root)
	return s, tree
}

// check compares all that was told with what the files hold.
func (s *told) check(t *testing.T, root string) {
	t.Helper()
	for path, refs := range s.files {
		if len(path) > 3000 { // beyond what a path may be
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, path))
		must(t, err)
		if chunk.Sum(b) != s.ids[path] {
			t.Errorf("%q has another id", path)
		}
		for _, r := range refs {
			if chunk.Sum(b[:r.Size]) != r.ID {
				t.Errorf("%q has another chunk", path)
			}
			b = b[r.Size:]
		}
		if len(b) > 0 {
			t.Errorf("%q has %d bytes more than its chunks", path, len(b))
		}
	}
}

// An index tells all that a snapshot would hold: every chunk of every file, and every node.
func TestIndexIsTheSnapshot(t *testing.T) {
	dir, server := t.TempDir(), remotetest.New(t)
	oddities(t, dir)
	must(t, os.WriteFile(filepath.Join(dir, "long"), random(77, 12<<20), 0o600))
	must(t, os.Truncate(filepath.Join(dir, "long"), 30<<20))
	s, tree := indexed(t, Options{Root: dir})
	res := taken(t, server, Options{Root: dir})
	if tree.Root != res.Root || tree.Sums != res.Sums {
		t.Errorf("the index is of %v, the snapshot of %v", tree, res.Tree)
	}
	held := &taker{src: server.Source(), told: s, chunks: map[chunk.ID]bool{}}
	for _, refs := range s.files {
		for _, r := range refs {
			held.chunks[r.ID] = true
		}
	}
	held.walk(t, chunk.ID(res.Root))
	if held.nodes < 25 || held.data < 200 {
		t.Errorf("only %d nodes and %d chunks were compared", held.nodes, held.data)
	}
}

// taker walks a snapshot and compares.
type taker struct {
	src         chunk.Source
	told        *told
	chunks      map[chunk.ID]bool
	nodes, data int
}

func (k *taker) walk(t *testing.T, root chunk.ID) {
	t.Helper()
	top, err := cvd.ReadRoot(t.Context(), k.src, cvd.Root(root))
	must(t, err)
	k.has(t, root)
	k.dir(t, top.Tree)
}

func (k *taker) has(t *testing.T, id chunk.ID) {
	t.Helper()
	want, err := chunk.Get(t.Context(), k.src, id)
	must(t, err)
	if !bytes.Equal(k.told.nodes[id], want) {
		t.Errorf("node or list %s was not told", id)
	}
	k.nodes++
}

func (k *taker) dir(t *testing.T, id chunk.ID) {
	k.has(t, id)
	plain, err := chunk.Get(t.Context(), k.src, id)
	must(t, err)
	n, err := cvd.DecodeNode(plain)
	must(t, err)
	n.Refs(func(id chunk.ID) { k.dir(t, id) }, func(r cvd.Ref) { k.has(t, r.ID) }, func(r cvd.Ref) {
		if k.data++; !k.chunks[r.ID] {
			t.Errorf("chunk %s was not told", r.ID)
		}
	})
}

// What has not changed is not read again: since the last index, the last snapshot, or an index that was interrupted.
func TestIndexReadsOnlyWhatChanged(t *testing.T) {
	dir, server := t.TempDir(), remotetest.New(t)
	oddities(t, dir)
	cache := t.TempDir()
	taken(t, server, Options{Root: dir, Cache: cache})
	count := func(cache, name string) int64 {
		o := Options{Root: dir, Cache: cache, CVD: name}
		o.Count = &Counters{}
		o.Now = later
		s := newTold()
		_, err := Index(t.Context(), o, s)
		must(t, err)
		s.check(t, dir)
		if len(s.files) < 100 {
			t.Errorf("only %d files were told", len(s.files))
		}
		return o.Count.BytesRead.Load()
	}
	if n := count(cache, "desk"); n != 0 {
		t.Errorf("after a snapshot, %d bytes were read", n)
	}
	if n := count(cache, ""); n != 0 {
		t.Errorf("after an index, %d bytes were read", n)
	}
	fresh := t.TempDir()
	all := count(t.TempDir(), "")
	stop := newTold()
	stop.stop = unix.EINTR
	if _, err := Index(t.Context(), Options{Root: dir, Cache: fresh, Now: later}, stop); !errors.Is(err, unix.EINTR) {
		t.Fatalf("interrupted: %v", err)
	}
	if n := count(fresh, ""); n >= all {
		t.Errorf("after an index that was interrupted, %d bytes were read of %d", n, all)
	}
}
