package vfs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/vfstest"
)

// What somebody uses is told, with who it was: directories once, files at every open, and of a file that is not all here
// what is read. What is filled in the background is nobody's use.
func TestUsed(t *testing.T) {
	d := vfstest.Desktop{Map: chunk.Map{}, T: t}
	small, big := vfstest.Body(20_000, 1), vfstest.Body(3<<20, 2)
	root := d.Root(d.Dir("a", d.Dir("b", d.File("small", small))), d.File("big", big), d.Dir("quiet", d.File("f", small)))
	dir := t.TempDir()
	var got []vfs.Use
	f, err := vfs.Open(t.Context(), vfs.Options{
		Backing: filepath.Join(dir, "backing"), Side: filepath.Join(dir, "side"), Demand: d, Bulk: d, Root: root,
		Used: func(u vfs.Use) { got = append(got, u) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(f.Fill(t.Context(), []string{"quiet/f"})...); err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(t.Context(), vfs.Caller, uint32(1000))
	open := func(names ...string) *vfs.Handle {
		n := f.Root()
		for _, name := range names {
			if n, _, err = f.Lookup(ctx, n, name); err != nil {
				t.Fatal(err)
			}
		}
		h, err := f.Open(ctx, n, os.O_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for range 2 {
		open("a", "b", "small").Close()
	}
	h := open("big")
	for range 2 {
		if err := h.Ensure(t.Context(), 1<<20, 5000); err != nil {
			t.Fatal(err)
		}
	}
	h.Close()
	want := []vfs.Use{
		{Path: "", Dir: true, User: 1000},
		{Path: "a", Dir: true, User: 1000},
		{Path: "a/b", Dir: true, User: 1000},
		{Path: "a/b/small", User: 1000},
		{Path: "a/b/small", User: 1000},
		{Path: "big", User: 1000, Watched: true},
		{Path: "big", User: 1000, Off: 1 << 20, N: 5000},
		{Path: "big", User: 1000, Off: 1 << 20, N: 5000},
	}
	if !slices.Equal(got, want) {
		t.Errorf("told\n%+v, want\n%+v", got, want)
	}
}

// counted counts requests and chunks.
type counted struct {
	chunk.Source
	requests, chunks int
}

func (c *counted) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	c.requests++
	c.chunks += len(ids)
	return c.Source.Fetch(ctx, ids, got)
}

// Small files and parts of large ones come in one request, in chunks that have a byte of the part; what is looked up costs
// a request for each depth, a directory itself with it.
func TestFillParts(t *testing.T) {
	d := vfstest.Desktop{Map: chunk.Map{}, T: t}
	small, big := vfstest.Body(20_000, 1), vfstest.Body(6<<20, 2)
	root := d.Root(d.Dir("a", d.Dir("b", d.File("small", small), d.File("small2", small[1:]))), d.Dir("c", d.File("big", big)), d.Dir("d", d.Dir("e", d.File("x", small[2:]))))
	dir := t.TempDir()
	src := &counted{Source: d}
	f, err := vfs.Open(t.Context(), vfs.Options{
		Backing: filepath.Join(dir, "backing"), Side: filepath.Join(dir, "side"), Demand: d, Bulk: src, Root: root,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	items, err := f.Find(t.Context(), []string{"a/b/small", "c/big", "d/e", "a/b/gone", "c/big/none"})
	if err != nil || items[0].Size != 20_000 || items[1].Size != 6<<20 || items[3].Path != "" || items[4].Path != "" {
		t.Fatalf("%+v, %v", items, err)
	}
	if src.requests != 3+1 {
		t.Errorf("%d requests for three directories of a depth each and a list of chunks, want 4", src.requests)
	}
	*src = counted{Source: d}
	if _, err := f.Find(t.Context(), []string{"d/e/x"}); err != nil || src.requests != 0 {
		t.Errorf("%d requests for what a directory holds that was looked up, %v", src.requests, err)
	}
	parts := []vfs.Part{{Path: "a/b/small"}, {Path: "c/big", From: 1 << 20, To: 1<<20 + 1}, {Path: "c/big", From: 4 << 20, To: 5 << 20}, {Path: "a/b/small2"}}
	if err := errors.Join(f.FillParts(t.Context(), parts)...); err != nil {
		t.Fatal(err)
	}
	if src.requests != 1 || src.chunks < 2+1+1 || src.chunks > 2+1+17 {
		t.Errorf("%d requests for %d chunks", src.requests, src.chunks)
	}
	*src = counted{Source: d}
	if brought, err := f.FillRange(t.Context(), "c/big", 4<<20, 1<<20, true); err != nil || brought || src.requests != 0 {
		t.Errorf("a part that is here was brought again: %v, %d requests, %v", brought, src.requests, err)
	}
	n, _, err := f.Lookup(t.Context(), f.Root(), "c")
	if err != nil {
		t.Fatal(err)
	}
	check(t, f, n, "big", big[:0])
	got := make([]byte, 1<<20)
	big2, _, err := f.Lookup(t.Context(), n, "big")
	if err != nil {
		t.Fatal(err)
	}
	h, err := f.Open(t.Context(), big2, os.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	before := f.Stats().DemandCount
	if _, err := h.ReadAt(t.Context(), got, 4<<20); err != nil || string(got) != string(big[4<<20:5<<20]) {
		t.Errorf("the part has other bytes, %v", err)
	}
	if n := f.Stats().DemandCount - before; n != 0 {
		t.Errorf("%d reads of the part waited", n)
	}
}
