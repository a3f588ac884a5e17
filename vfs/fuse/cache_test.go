//go:build linux

package fuse_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/fuse"
	"github.com/looming-project/looming/vfs/vfstest"
)

// A file that is open while it becomes native stays with this process, and those
// who open it later see what is written through either way (invariant 4).
func TestOpenAcrossNative(t *testing.T) {
	tr := vfstest.NewTree(t)
	body := vfstest.Body(700_000, 1)
	tr.AddFile("f", bytes.Clone(body), 100_000)
	dir := t.TempDir()
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	src := vfstest.NewSource(tr.Map)
	f, err := vfs.Open(t.Context(), vfs.Options{Backing: filepath.Join(dir, "b"), Side: filepath.Join(dir, "s"), Demand: src, Bulk: src, Root: tr.Finish()})
	if err != nil {
		t.Fatal(err)
	}
	m, err := fuse.New(f, mnt, fuse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Unmount(); err != nil {
			t.Error(err, m.Detach())
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(mnt, "f")
	write := func(h *os.File, at int64, data string) {
		t.Helper()
		if _, err := h.WriteAt([]byte(data), at); err != nil {
			t.Fatal(err)
		}
		copy(body[at:], data)
	}
	open := func() *os.File {
		t.Helper()
		h, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	same := func(what string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %v, equal %v", what, err, bytes.Equal(got, body))
		}
	}
	early := open() // before anything is here
	write(early, 10, "early")
	same("partly here")
	if err := f.Settle(); err != nil {
		t.Fatal(err)
	}
	late := open() // native, but open already
	write(late, 300_000, "late")
	write(early, 300_010, "early again")
	same("native and open from before")
	if err := late.Close(); err != nil {
		t.Error(err)
	}
	if err := early.Close(); err != nil {
		t.Error(err)
	}
	passed := open() // the kernel's own
	write(passed, 500_000, "passed")
	same("passed through")
	if err := passed.Truncate(600_000); err != nil {
		t.Error(err)
	}
	body = body[:600_000]
	same("cut")
	if err := passed.Close(); err != nil {
		t.Error(err)
	}
	same("closed")
	if got, err := os.ReadFile(filepath.Join(dir, "b/f")); err != nil || !bytes.Equal(got, body) {
		t.Errorf("beneath: %v, equal %v", err, bytes.Equal(got, body))
	}
}
