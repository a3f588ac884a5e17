//go:build linux

package fuse_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/looming-project/looming/tools/tree/compare"
	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/fuse"
	"github.com/looming-project/looming/vfs/vfstest"
)

// mountPast mounts a tree that is also the only snapshot of itself, and returns where both are.
func mountPast(t *testing.T, tr *vfstest.Tree) (mnt, past string) {
	t.Helper()
	dir := t.TempDir()
	mnt = filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	root, list := tr.Finish(), &vfstest.Past{}
	s := cvd.Snapshot{ID: cvd.SnapshotID{1, 2, 3}, Root: root, Taken: tr.Want[""].Mtime.Std()}
	list.Add(s)
	src := vfstest.NewSource(tr.Map)
	f, err := vfs.Open(t.Context(), vfs.Options{
		Backing: filepath.Join(dir, "b"), Side: filepath.Join(dir, "s"),
		Demand: src, Bulk: src, Root: root, History: list, Deadline: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := fuse.New(f, mnt, fuse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(); err != nil {
			t.Error(err, m.Detach())
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return mnt, filepath.Join(mnt, ".snapshots", s.Name())
}

// A snapshot in the mount is the desktop as it was, to whoever compares all of two trees (invariant 1).
func TestPastIsTheDesktop(t *testing.T) {
	mnt, past := mountPast(t, vfstest.Zoo(&vfstest.World{T: t}))
	for _, dir := range []string{mnt, past} { // until all is listed, not all names of a file are known
		if out, err := exec.Command("find", dir, "-ls").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		} else if strings.Contains(string(out), ".snapshots") != (dir == past) {
			t.Errorf("the snapshots are listed in %s: %v", dir, dir != past)
		}
	}
	for _, trees := range [][2]string{{mnt, past}, {past, mnt}} {
		differ, err := compare.Trees(t.Context(), trees[0], trees[1], compare.Options{})
		if err != nil || len(differ) > 0 {
			t.Errorf("%v, %s", err, strings.Join(differ, "\n"))
		}
	}
}

// Programs work in the past as they do today: old programs run, and copies are what they are copies of.
func TestProgramsInThePast(t *testing.T) {
	tr := vfstest.NewTree(t)
	program, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	tr.AddFile("bin/sh", program, 50_000).Mode = 0o755
	tr.AddFile("etc/motd", []byte("as it was\n"), 1)
	tr.AddLinks(tr.File("", vfstest.Body(30_000, 4)), vfstest.Body(30_000, 4), "a/one", "a/two", "z/three")
	mnt, past := mountPast(t, tr)
	out, err := exec.Command(filepath.Join(past, "bin/sh"), "-ec", `
		cd "$1"
		rm etc/motd
		cat .snapshots/latest/etc/motd
		cp -a .snapshots/0102/etc/motd etc/
		cmp etc/motd "$2/etc/motd"
		ls .snapshots | wc -l
		(cd "$2/a/.." && pwd -P && ls | tr '\n' ' ')
		stat -f -c %T "$2" > /dev/null
		test "$(stat -c %i "$2/a/one")" = "$(stat -c %i "$2/z/three")"
		test "$(stat -c %d "$2")" = "$(stat -c %d .)"
		tar -C "$2" -cf - . | tar -t | wc -l
		cp -a "$2" copy
		test "$(stat -c %h copy/a/one)" = 3
		ln "$2/etc/motd" linked 2>&1 || mv -T "$2/etc" moved 2>&1 | tail -1
		test ! -e linked
	`, "sh", mnt, past).CombinedOutput()
	want := "as it was\n1\n" + past + "\na bin etc z 10\n"
	if err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("%v\n got %q\nwant %q", err, out, want)
	}
	differ, err := compare.Trees(t.Context(), past, filepath.Join(mnt, "copy"), compare.Options{})
	if err != nil || len(differ) > 0 {
		t.Errorf("the copy: %v, %s", err, strings.Join(differ, "\n"))
	}
}
