package vfstest

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// Tree is a desktop with what a view of it must show: its model. Calls that
// change a view change the model alike, and Check compares the two.
type Tree struct {
	Desktop
	// Want is every entry by its path; "" is the top. Names of one hard-linked file share a Want.
	Want map[string]*Want
}

// Want is what an entry must be. A file's Body is all of it, unless Skip is set.
type Want struct {
	cvd.Entry
	Body []byte
	// Skip says that the file is too large to be compared whole.
	Skip bool
	// Touched says that the modification time is not known any more.
	Touched bool
}

// NewTree returns a desktop with nothing but its top directory.
func NewTree(t testing.TB) *Tree {
	top := &Want{Entry: cvd.Entry{Type: cvd.Dir, Mode: 0o755, Mtime: cvd.Time{Sec: 7}}}
	return &Tree{Desktop{chunk.Map{}, t}, map[string]*Want{"": top}}
}

// Add puts an entry at a path, and directories above it where they are missing.
func (tr *Tree) Add(p string, e cvd.Entry) *Want {
	tr.parents(p)
	e.Name = path.Base(p)
	if e.Mtime == (cvd.Time{}) {
		e.Mtime = cvd.Time{Sec: 1_000_000_000 + int64(len(tr.Want)), Nsec: uint32(1 + 7919*len(tr.Want)%999_999_999)}
	}
	w := &Want{Entry: e}
	tr.Want[p] = w
	return w
}

func (tr *Tree) parents(p string) {
	dir := parent(p)
	if _, ok := tr.Want[dir]; !ok {
		tr.Add(dir, cvd.Entry{Type: cvd.Dir, Mode: 0o755})
	}
}

// parent is the directory of a path, "" for what lies in the top directory.
func parent(p string) string {
	return p[:max(strings.LastIndexByte(p, '/'), 0)]
}

// AddFile puts a file, in chunks of size bytes where it is larger than one.
func (tr *Tree) AddFile(p string, body []byte, size int) *Want {
	e := tr.FileOf("", body, size)
	e.Mtime = cvd.Time{}
	w := tr.Add(p, e)
	w.Body = body
	return w
}

// AddLinks puts a hard-linked file under all paths, the first of which is first in canonical order.
func (tr *Tree) AddLinks(e cvd.Entry, body []byte, paths ...string) *Want {
	e.Group = cvd.LinkGroup(paths[0])
	w := tr.Add(paths[0], e)
	w.Body = body
	for _, p := range paths[1:] {
		tr.parents(p)
		tr.Want[p] = w
	}
	return w
}

// Finish makes the nodes and returns the root.
func (tr *Tree) Finish() cvd.Root {
	below := map[string][]string{}
	for p := range tr.Want {
		if p != "" {
			below[parent(p)] = append(below[parent(p)], p)
		}
	}
	tr.finish("", below)
	top := tr.Want[""].Entry
	plain, err := cvd.EncodeRoot(&top)
	if err != nil {
		tr.T.Fatal(err)
	}
	id, _ := tr.Put(plain)
	return cvd.Root(id)
}

func (tr *Tree) finish(dir string, below map[string][]string) {
	entries := make([]cvd.Entry, 0, len(below[dir]))
	slices.Sort(below[dir])
	for _, p := range below[dir] {
		w := tr.Want[p]
		if w.Type == cvd.Dir {
			tr.finish(p, below)
		}
		e := w.Entry
		e.Name = path.Base(p)
		entries = append(entries, e)
	}
	w := tr.Want[dir]
	w.Tree, w.Sums = tr.dirNode(entries...)
}

// Paths returns all paths in order.
func (tr *Tree) Paths() []string { return slices.Sorted(maps.Keys(tr.Want)) }

// Files returns the paths of files in order.
func (tr *Tree) Files() (out []string) {
	for _, p := range tr.Paths() {
		if tr.Want[p].Type == cvd.File {
			out = append(out, p)
		}
	}
	return out
}

// nlink is how many names an entry has.
func (tr *Tree) nlink(w *Want) (n uint32) {
	for _, v := range tr.Want {
		if v == w {
			n++
		}
	}
	return n
}
