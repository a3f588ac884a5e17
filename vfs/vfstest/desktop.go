// Package vfstest is the conformance suite of a desktop, run on the core and on every mount.
//
// A test makes a Tree, a desktop in memory with a model of what must be seen,
// opens it over a fresh backing directory, and works on it through a System: the
// core's own calls, or system calls on a mount. Run runs all of them on a Host.
package vfstest

import (
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// Desktop is a small desktop in memory: its chunks, and calls that make entries.
type Desktop struct {
	chunk.Map
	T testing.TB
}

func (d Desktop) dirNode(entries ...cvd.Entry) (chunk.ID, cvd.Sums) {
	b := cvd.NewBuilder(d.Put)
	for i := range entries {
		if err := b.Add(&entries[i]); err != nil {
			d.T.Fatal(err)
		}
	}
	id, sums, err := b.Finish()
	if err != nil {
		d.T.Fatal(err)
	}
	return id, sums
}

// Dir makes a directory.
func (d Desktop) Dir(name string, entries ...cvd.Entry) cvd.Entry {
	id, sums := d.dirNode(entries...)
	return cvd.Entry{Name: name, Type: cvd.Dir, Mode: 0o755, Tree: id, Sums: sums, Mtime: cvd.Time{Sec: 7}}
}

// File makes a file, in chunks of 100 KiB where it is larger than one.
func (d Desktop) File(name string, body []byte) cvd.Entry { return d.FileOf(name, body, 100<<10) }

// FileOf makes a file, in chunks of size bytes where it is larger than one.
func (d Desktop) FileOf(name string, body []byte, size int) cvd.Entry {
	e := cvd.Entry{Name: name, Type: cvd.File, Mode: 0o644, Size: uint64(len(body)), Mtime: cvd.Time{Sec: 1e9, Nsec: 123456789}}
	switch {
	case len(body) <= cvd.InlineMax:
		e.Content.Inline = body
	case len(body) <= chunk.WholeMax:
		e.Content.ID, _ = d.Put(body)
	default:
		var refs []cvd.Ref
		for b := body; len(b) > 0; {
			n := min(len(b), size)
			id, _ := d.Put(b[:n])
			refs = append(refs, cvd.Ref{ID: id, Size: uint64(n)})
			b = b[n:]
		}
		e.Content = d.content(chunk.Sum(body), refs)
	}
	return e
}

func (d Desktop) content(id chunk.ID, refs []cvd.Ref) cvd.Content {
	c, err := cvd.ListContent(id, refs, d.Put)
	if err != nil {
		d.T.Fatal(err)
	}
	return c
}

// Root makes a desktop of entries.
func (d Desktop) Root(entries ...cvd.Entry) cvd.Root {
	top := d.Dir("", entries...)
	plain, err := cvd.EncodeRoot(&top)
	if err != nil {
		d.T.Fatal(err)
	}
	id, _ := d.Put(plain)
	return cvd.Root(id)
}

// Body is n bytes that differ by seed.
func Body(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i*7) ^ byte(i>>9)
	}
	return b
}
