package vfs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/vfstest"
)

func open(t *testing.T, d vfstest.Desktop, root cvd.Root, dir string) *vfs.FS {
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
	d := vfstest.Desktop{Map: chunk.Map{}, T: t}
	small, mid, big := vfstest.Body(100, 1), vfstest.Body(20000, 2), vfstest.Body(5<<20, 3)
	root := d.Root(d.File("big", big), d.Dir("etc", d.File("mid", mid), d.File("small", small)))
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
	if err := errors.Join(f.Fill(ctx, []string{"etc/mid", "etc/small", "big", "nothing/here"})...); err != nil {
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

// removing removes directories whose listings are on their way.
type removing struct {
	chunk.Source
	remove func()
}

func (r removing) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	r.remove()
	return r.Source.Fetch(ctx, ids, got)
}

// Directories that their user removes while they are being listed in the
// background are in nobody's way.
func TestRemovedWhileListed(t *testing.T) {
	d := vfstest.Desktop{Map: chunk.Map{}, T: t}
	root := d.Root(
		d.Dir("a", d.Dir("below", d.File("f", vfstest.Body(5000, 1))), d.Dir("deep", d.Dir("er", d.File("g", vfstest.Body(10, 2))))),
		d.Dir("b", d.File("h", vfstest.Body(3000, 3))),
	)
	for _, when := range []int{2, 3} { // the first is that of the top
		dir, ctx, requests := t.TempDir(), context.Background(), 0
		remove := func() {
			if requests++; requests != when {
				return
			}
			if err := os.RemoveAll(filepath.Join(dir, "backing/a")); err != nil {
				t.Error(err)
			}
		}
		f, err := vfs.Open(ctx, vfs.Options{
			Backing: filepath.Join(dir, "backing"), Side: filepath.Join(dir, "side"), Demand: d, Bulk: removing{d, remove}, Root: root,
		})
		if err != nil {
			t.Fatal(err)
		}
		dirs := 0
		if err := f.ListAll(ctx, func() { dirs++ }); err != nil || dirs == 0 || requests < when {
			t.Errorf("removed with request %d of %d: %v, %d directories", when, requests, err, dirs)
		}
		if items, err := f.List(ctx, "a", ""); err != nil || len(items) > 0 {
			t.Errorf("removed with request %d of %d: %v, %v", when, requests, items, err)
		}
		if err := errors.Join(f.Fill(ctx, []string{"a/below/f", "b/h"})...); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
