package vfs_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// desktop is a small tree in memory.
type desktop struct {
	chunk.Map
	t *testing.T
}

func (d desktop) dir(entries ...cvd.Entry) (chunk.ID, cvd.Sums) {
	b := cvd.NewBuilder(d.Put)
	for i := range entries {
		if err := b.Add(&entries[i]); err != nil {
			d.t.Fatal(err)
		}
	}
	id, sums, err := b.Finish()
	if err != nil {
		d.t.Fatal(err)
	}
	return id, sums
}

func (d desktop) sub(name string, entries ...cvd.Entry) cvd.Entry {
	id, sums := d.dir(entries...)
	return cvd.Entry{Name: name, Type: cvd.Dir, Mode: 0o755, Tree: id, Sums: sums, Mtime: cvd.Time{Sec: 7}}
}

func (d desktop) file(name string, body []byte) cvd.Entry {
	e := cvd.Entry{Name: name, Type: cvd.File, Mode: 0o644, Size: uint64(len(body)), Mtime: cvd.Time{Sec: 1e9, Nsec: 123456789}}
	switch {
	case len(body) <= cvd.InlineMax:
		e.Content.Inline = body
	case len(body) <= chunk.WholeMax:
		e.Content.ID, _ = d.Put(body)
	default:
		var refs []cvd.Ref
		for b := body; len(b) > 0; {
			n := min(len(b), 100<<10)
			id, _ := d.Put(b[:n])
			refs = append(refs, cvd.Ref{ID: id, Size: uint64(n)})
			b = b[n:]
		}
		var err error
		if e.Content, err = cvd.ListContent(chunk.Sum(body), refs, d.Put); err != nil {
			d.t.Fatal(err)
		}
	}
	return e
}

func (d desktop) root(entries ...cvd.Entry) cvd.Root {
	top := d.sub("", entries...)
	plain, err := cvd.EncodeRoot(&top)
	if err != nil {
		d.t.Fatal(err)
	}
	id, _ := d.Put(plain)
	return cvd.Root(id)
}

func body(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i*7) ^ byte(i>>9)
	}
	return b
}

func open(t *testing.T, d desktop, root cvd.Root, dir string) *vfs.FS {
	f, err := vfs.Open(t.Context(), vfs.Options{
		Backing: filepath.Join(dir, "backing"), Side: filepath.Join(dir, "side"),
		Demand: d, Bulk: d, Root: root,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestReadAndFill(t *testing.T) {
	d := desktop{chunk.Map{}, t}
	small, mid, big := body(100, 1), body(20000, 2), body(5<<20, 3)
	root := d.root(d.file("big", big), d.sub("etc", d.file("mid", mid), d.file("small", small)))
	dir := t.TempDir()
	f := open(t, d, root, dir)
	ctx := context.Background()
	etc, _, err := f.Lookup(ctx, f.Root(), "etc")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"mid": mid, "small": small} {
		check(t, f, etc, name, want)
	}
	bn, _, err := f.Lookup(ctx, f.Root(), "big")
	if err != nil {
		t.Fatal(err)
	}
	h, err := f.Open(ctx, bn, os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteAt([]byte("hello"), 1<<20); err != nil {
		t.Fatal(err)
	}
	copy(big[1<<20:], "hello")
	h.Close()
	check(t, f, f.Root(), "big", big[:100000])
	f.Close()

	f = open(t, d, root, dir)
	if err := f.ListAll(ctx, func() {}); err != nil {
		t.Fatal(err)
	}
	if err := f.Fill(ctx, []string{"etc/mid", "etc/small", "big"}); err != nil {
		t.Fatal(err)
	}
	if err := f.Settle(); err != nil {
		t.Fatal(err)
	}
	rest, err := f.Remaining(ctx)
	if err != nil || len(rest) > 0 {
		t.Fatal(rest, err)
	}
	f.Close()
	got, err := os.ReadFile(filepath.Join(dir, "backing/big"))
	if err != nil || string(got) != string(big) {
		t.Fatal("big differs", err)
	}
}

func check(t *testing.T, f *vfs.FS, dir *vfs.Node, name string, want []byte) {
	t.Helper()
	ctx := context.Background()
	n, a, err := f.Lookup(ctx, dir, name)
	if err != nil {
		t.Fatal(err)
	}
	if a.Mtime != (cvd.Time{Sec: 1e9, Nsec: 123456789}) && name != "big" {
		t.Errorf("%s: mtime %v", name, a.Mtime)
	}
	h, err := f.Open(ctx, n, os.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	got := make([]byte, len(want))
	if m, err := h.ReadAt(ctx, got, 0); err != nil || m != len(want) || string(got) != string(want) {
		t.Fatalf("%s: %d bytes, %v, equal %v", name, m, err, string(got) == string(want))
	}
}
