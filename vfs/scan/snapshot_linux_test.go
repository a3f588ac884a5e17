package scan

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/remote/remotetest"
	"github.com/looming-project/looming/vfs/wire"
	"golang.org/x/sys/unix"
)

// later is a clock an hour ahead, for which nothing changed lately.
func later() time.Time { return time.Now().Add(time.Hour) }

// taken takes a snapshot in which everything must be readable.
func taken(t *testing.T, s *remotetest.Server, o Options) Result {
	t.Helper()
	if o.Unreadable == nil {
		o.Unreadable = func(path string, err error) { t.Errorf("%q is unreadable: %v", short(path), err) }
	}
	if o.Notice == nil {
		o.Notice = func(text string) { t.Errorf("notice: %s", text) }
	}
	if o.Now == nil {
		o.Now = later
	}
	if o.CVD == "" {
		o.CVD = "desk"
	}
	res, err := Snapshot(context.Background(), s.Client("laptop"), o, wire.CommitRequest{})
	must(t, err)
	return res
}

// A committed snapshot holds everything that the file system holds (invariant 1).
func TestEverythingIsInTheSnapshot(t *testing.T) {
	dir, s := t.TempDir(), remotetest.New(t)
	oddities(t, dir)
	res := taken(t, s, Options{Root: dir, Cache: t.TempDir()})
	want := onDisk(t, dir)
	if len(want) < 350 {
		t.Fatalf("only %d entries", len(want))
	}
	if d := want.diff(inSnapshot(t, s.Source(), res.Snapshot.Root)); d != "" {
		t.Errorf("differences:\n%s", d)
	}
	if n := res.Sums.Files + res.Sums.Dirs + 1; n != uint64(len(want)) {
		t.Errorf("the sums say %d entries, there are %d", n, len(want))
	}
}

// The second snapshot of an unchanged desktop reads no file contents and sends nothing.
func TestUnchangedIsNotRead(t *testing.T) {
	dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
	oddities(t, dir)
	first := taken(t, s, Options{Root: dir, Cache: cache})
	uploaded, asked := s.Uploaded.Load(), s.Asked.Load()
	for range 2 {
		var count Counters
		second := taken(t, s, Options{Root: dir, Cache: cache, Count: &count})
		if second.Root != first.Root || second.Snapshot.ID == first.Snapshot.ID {
			t.Errorf("another root: %s, first %s", second.Root, first.Root)
		}
		if n := count.BytesRead.Load(); n != 0 {
			t.Errorf("%d bytes were read", n)
		}
		if count.Entries.Load() == 0 || s.Uploaded.Load() != uploaded {
			t.Errorf("%d chunks were uploaded", s.Uploaded.Load()-uploaded)
		}
		if n := s.Asked.Load() - asked; n > 2 {
			t.Errorf("the server was asked about %d chunks", n)
		}
	}
}

// nowFor is a clock at the time when a file changed.
func nowFor(t *testing.T, path string) func() time.Time {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	return func() time.Time { return time.Unix(st.Ctim.Unix()) }
}

// Exclusions, and what is Looming's or the file system's own, are not in the snapshot; mount points are empty directories.
func TestLeftOut(t *testing.T) {
	dir, s := t.TempDir(), remotetest.New(t)
	for _, d := range []string{"a/cache/x", "b/cache", "state/key", ".target.looming/b", "lost+found/z", "mnt", "proc/1", "keep/tmp", "a/..looming"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	for _, f := range []string{"a/f.tmp", "keep/cache", "f.tmp", "keep/f", ".file.looming", "a/cache/x/y"} {
		must(t, os.WriteFile(filepath.Join(dir, f), []byte(f), 0o644))
	}
	must(t, unix.Mount("tmpfs", filepath.Join(dir, "mnt"), "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { must(t, unix.Unmount(filepath.Join(dir, "mnt"), 0)) })
	must(t, os.WriteFile(filepath.Join(dir, "mnt", "inside"), nil, 0o644))
	for _, others := range []bool{false, true} { // a tmpfs is the kernel's either way
		taken(t, s, Options{
			Root: dir, Skip: []string{filepath.Join(dir, "state"), filepath.Join(dir, "missing")}, OtherFilesystems: others,
			Exclude: []string{"cache/", "/a/*.tmp", "**/keep/tmp"},
		})
		got := inSnapshot(t, s.Source(), s.Latest("desk").Root)
		for _, p := range []string{"/", "/a/", "/b/", "/keep/", "/keep/cache", "/keep/f", "/f.tmp", "/lost+found/z/", "/mnt/", "/proc/1/", "/.file.looming", "/a/..looming/"} {
			if _, ok := got[p]; !ok {
				t.Errorf("%s is missing", p)
			}
			delete(got, p)
		}
		for p := range got {
			if p != "/lost+found/" && p != "/proc/" {
				t.Errorf("%s is in the snapshot", p)
			}
		}
	}
	_, err := Snapshot(context.Background(), s.Client("laptop"), Options{Root: dir, CVD: "desk", Exclude: []string{"[a"}}, wire.CommitRequest{})
	if err == nil {
		t.Error("a broken pattern was taken")
	}
}

// Directories of any size go through windows, and their nodes are split.
func TestManyEntries(t *testing.T) {
	dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
	for i := range 3*windowMax + 17 {
		must(t, os.Symlink("x", filepath.Join(dir, strconv.Itoa(i))))
		if i%1000 == 0 {
			must(t, os.Mkdir(filepath.Join(dir, strconv.Itoa(i)+"d"), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(i)+"d", "f"), nil, 0o644))
		}
	}
	taken(t, s, Options{Root: dir, Cache: cache})
	exact(t, s, dir)
	must(t, os.Remove(filepath.Join(dir, "2000")))
	must(t, os.WriteFile(filepath.Join(dir, "3000d", "f"), []byte("changed"), 0o644))
	before := s.Uploaded.Load()
	taken(t, s, Options{Root: dir, Cache: cache})
	exact(t, s, dir)
	if n := s.Uploaded.Load() - before; n > 6 {
		t.Errorf("%d chunks were uploaded for two changes", n)
	}
}
