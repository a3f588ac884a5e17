package vfs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/vfstest"
	"golang.org/x/sys/unix"
)

// disk is a desktop on a disk that can be full or fail.
type disk struct {
	*testing.T
	tr   *vfstest.Tree
	root cvd.Root
	dir  string
	src  *vfstest.Source
	f    *vfs.FS
	sys  vfstest.System
}

func newDisk(t *testing.T, dir string, tr *vfstest.Tree) *disk {
	d := &disk{T: t, tr: tr, root: tr.Finish(), dir: dir, src: vfstest.NewSource(tr.Map)}
	d.open()
	t.Cleanup(d.close)
	return d
}

func (d *disk) open() {
	d.Helper()
	f, err := vfs.Open(context.Background(), vfs.Options{
		Backing: filepath.Join(d.dir, "backing"), Side: filepath.Join(d.dir, "side"), Demand: d.src, Bulk: d.src, Root: d.root,
	})
	if err != nil {
		d.Fatal(err)
	}
	d.f, d.sys = f, vfstest.Core{F: f}
}

func (d *disk) close() {
	if d.f != nil {
		if err := d.f.Close(); err != nil {
			d.Error(err)
		}
		d.f = nil
	}
}

func (d *disk) fill() error {
	ctx := context.Background()
	if err := d.f.ListAll(ctx, func() {}); err != nil {
		return err
	}
	return errors.Join(errors.Join(d.f.Fill(ctx, d.tr.Files())...), d.f.Settle())
}

// finish makes all native and compares the disk.
func (d *disk) finish() {
	d.Helper()
	if err := d.fill(); err != nil {
		d.Error(err)
	}
	if rest, err := d.f.Remaining(context.Background()); err != nil || len(rest) > 0 {
		d.Errorf("remaining: %q, %v", rest, err)
	}
	d.close()
	(&vfstest.World{T: d.T, Tree: d.tr}).Check(vfstest.Dir(filepath.Join(d.dir, "backing")))
}

func diskTree(t *testing.T) *vfstest.Tree {
	tr := vfstest.NewTree(t)
	for i := range 40 {
		tr.AddFile(fmt.Sprintf("d%d/single%d", i%4, i), vfstest.Body(100_000, byte(i)), 1)
		tr.AddFile(fmt.Sprintf("d%d/ranged%d", i%4, i), vfstest.Body(400_000, byte(i)), 100_000)
		tr.AddFile(fmt.Sprintf("d%d/inline%d", i%4, i), vfstest.Body(1000, byte(i)), 1)
	}
	return tr
}

// A full disk is an error that says so; nothing that was written is lost, what is
// here works, and after space is made everything goes on (invariants 2, 4 and 9).
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("mounting a small disk needs root")
	}
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) { fullDisk(t, kind) })
	}
}

func fullDisk(t *testing.T, kind string) {
	dir := t.TempDir()
	small(t, kind, dir)
	hog := filepath.Join(dir, "hog")
	tr := diskTree(t)
	d := newDisk(t, filepath.Join(dir, "desktop"), tr)
	// The user changes files that are not here, then the disk fills up.
	written := vfstest.Body(150_000, 201)
	write := func(p string, at int64, data []byte) error {
		f, err := d.sys.Open(p, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		n, err := f.WriteAt(data, at)
		copy(tr.Want[p].Body[at:], data[:max(n, 0)])
		tr.Want[p].Touched = true
		return errors.Join(err, f.Close())
	}
	if err := write("d1/ranged1", 50_000, written); err != nil {
		t.Fatal(err)
	}
	fillUp(t, hog)
	full := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s on a full disk: %v", what, err)
		}
	}
	full("filling", d.fill())
	_, err := d.sys.Open("d2/single2", os.O_RDONLY, 0)
	full("opening what is not here", err)
	full("reading what is not here", vfstest.CheckBody(d.sys, "d3/ranged3", tr.Want["d3/ranged3"].Body))
	for p, want := range tr.Want {
		if want.Type != cvd.File {
			continue
		}
		if err := vfstest.CheckBody(d.sys, p, want.Body); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", p, err)
		}
	}
	for i := range 20 { // what a write says it has written is there
		p := fmt.Sprintf("d%d/ranged%d", i%4, i)
		if err := write(p, int64(i)*10_000, vfstest.Body(9000, byte(i+7))); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("writing into %s: %v", p, err)
		}
	}
	_ = d.f.Settle() // may fail, and must lose nothing
	if kind == "tmpfs" {
		d.close2()
	}
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	if kind == "tmpfs" {
		d.open()
	}
	d.finish()
}

// close2 closes while the disk is full: what could not be kept is said, and fetched again.
func (d *disk) close2() {
	if err := d.f.Close(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		d.Error(err)
	}
	d.f = nil
}

// small mounts a disk of 40 MiB at dir.
func small(t *testing.T, kind, dir string) {
	const size = 40 << 20
	if kind == "tmpfs" {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
			t.Fatal(err)
		}
	} else {
		image := filepath.Join(t.TempDir(), "disk")
		run(t, "truncate", "-s", fmt.Sprint(size), image)
		run(t, "mkfs.ext4", "-q", "-m", "0", image)
		run(t, "mount", "-o", "loop", image, dir)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fillUp leaves less than a chunk of room.
func fillUp(t *testing.T, hog string) {
	t.Helper()
	f, err := os.Create(hog)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// fail has operations of one kind fail until restored.
func fail(op string) (restore func()) {
	return durable.SetFault(func(o durable.Op) error {
		if o.Name == op && !o.After {
			return syscall.EIO
		}
		return nil
	})
}

// What a failed sync may have lost is not native, and is fetched again; repeating
// the sync would tell nothing.
func TestFailedSync(t *testing.T) {
	tr := diskTree(t)
	d := newDisk(t, t.TempDir(), tr)
	restore := fail(durable.OpSyncFS)
	err := d.fill()
	restore()
	if !errors.Is(err, durable.ErrSync) || !errors.Is(err, syscall.EIO) {
		t.Errorf("filling says %v", err)
	}
	rest, err := d.f.Remaining(context.Background())
	if err != nil || len(rest) != 4 {
		t.Errorf("%q are not native, %v; want the directories, whose files may have lost bytes", rest, err)
	}
	if err := d.f.Settle(); err != nil {
		t.Error(err)
	}
	if again, err := d.f.Remaining(context.Background()); err != nil || len(again) != len(rest) {
		t.Errorf("a second sync made %q native, of %q, of which nothing was written anew, %v", again, rest, err)
	}
	before := d.src.Fetched.Load()
	d.finish()
	if n := d.src.Fetched.Load() - before; n != 40*4+4 { // a single file is the first chunk of its ranged neighbour, and asked for once
		t.Errorf("%d chunks were fetched again", n)
	}
}

// An fsync that fails is the caller's to know, and what was fetched into the file
// is fetched again, around what the user wrote.
func TestFailedFsync(t *testing.T) {
	tr := diskTree(t)
	d := newDisk(t, t.TempDir(), tr)
	if err := d.f.ListAll(t.Context(), func() {}); err != nil {
		t.Fatal(err)
	}
	const p = "d1/ranged1"
	f, err := d.sys.Open(p, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 1000), 350_000); err != nil { // the last chunk: nothing to read ahead
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("written"), 120_000); err != nil {
		t.Fatal(err)
	}
	copy(tr.Want[p].Body[120_000:], "written")
	tr.Want[p].Touched = true
	restore := fail(durable.OpSync)
	err = f.Sync()
	restore()
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("fsync says %v", err)
	}
	before := d.src.Fetched.Load()
	if err := vfstest.CheckBody(d.sys, p, tr.Want[p].Body); err != nil {
		t.Error(err)
	}
	if n := d.src.Fetched.Load() - before; n != 4 {
		t.Errorf("%d chunks were fetched again, want all four", n)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Error(err)
	}
	d.finish()
}

// A write to a file whose fetched bytes cannot be made durable says so, and the
// file is whole afterwards.
func TestFailedSyncBeforeWrite(t *testing.T) {
	tr := diskTree(t)
	d := newDisk(t, t.TempDir(), tr)
	const p = "d1/single1"
	restore := fail(durable.OpSync)
	_, err := d.sys.Open(p, os.O_RDWR, 0)
	restore()
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("opening for writing says %v", err)
	}
	if err := vfstest.CheckBody(d.sys, p, tr.Want[p].Body); err != nil {
		t.Error(err)
	}
	d.finish()
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// What comes while a sync is under way is not native by it: its bytes may not be
// on the disk.
func TestFilledDuringSync(t *testing.T) {
	tr := diskTree(t)
	d := newDisk(t, t.TempDir(), tr)
	ctx := context.Background()
	if err := d.f.ListAll(ctx, func() {}); err != nil {
		t.Fatal(err)
	}
	if err := d.f.Settle(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.f.FillRange(ctx, "d1/ranged1", 0, 100_000, false); err != nil {
		t.Fatal(err)
	}
	var during error
	restore := durable.SetFault(func(o durable.Op) error {
		if o.Name == durable.OpSyncFS && !o.After {
			during = errors.Join(d.f.Fill(ctx, []string{"d1/ranged1", "d2/single2"})...)
		}
		return nil
	})
	err := d.f.Settle()
	restore()
	if err := errors.Join(err, during); err != nil {
		t.Error(err)
	}
	rest, err := d.f.Remaining(ctx)
	if err != nil || !slices.Contains(rest, "d1/ranged1") || !slices.Contains(rest, "d2/single2") {
		t.Errorf("files that came during the sync are native: %q remain, %v", rest, err)
	}
	if err := d.f.Settle(); err != nil {
		t.Error(err)
	}
	rest, err = d.f.Remaining(ctx)
	if err != nil || slices.Contains(rest, "d1/ranged1") || slices.Contains(rest, "d2/single2") {
		t.Errorf("the next sync left them: %q, %v", rest, err)
	}
	d.finish()
}

// A small file that its listing wrote is durable before it moves to where no
// repair would find it, or is changed; after a sync that costs nothing.
func TestFirmBeforeChange(t *testing.T) {
	tr := diskTree(t)
	d := newDisk(t, t.TempDir(), tr)
	if _, err := d.sys.ReadDir("d1"); err != nil {
		t.Fatal(err)
	}
	syncs := func(call func() error) (n int) {
		t.Helper()
		restore := durable.SetFault(func(o durable.Op) error {
			if o.Name == durable.OpSync && o.After {
				n++
			}
			return nil
		})
		defer restore()
		if err := call(); err != nil {
			t.Error(err)
		}
		return n
	}
	for what, call := range map[string]func() error{
		"rename":   func() error { return d.sys.Rename("d1/inline1", "d2/moved", 0) },
		"link":     func() error { return d.sys.Link("d1/inline5", "d2/linked") },
		"truncate": func() error { return d.sys.Truncate("d1/inline9", 10) },
		"utimens":  func() error { return d.sys.SetTimes("d1/inline13", cvd.Time{Sec: 1}, cvd.Time{Sec: 1}) },
	} {
		if syncs(call) == 0 {
			t.Errorf("%s before a sync: the file's bytes were not made durable", what)
		}
	}
	if err := d.f.Settle(); err != nil {
		t.Fatal(err)
	}
	if n := syncs(func() error { return d.sys.Rename("d1/inline17", "d1/moved", 0) }); n > 0 {
		t.Errorf("rename after a sync: %d syncs more", n)
	}
}
