package vfstest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/history"
)

// withPast begins a small desktop that has old as a snapshot, and returns where that is.
func (w *World) withPast(old *Tree, own ...string) (s cvd.Snapshot, at string) {
	w.Helper()
	s = snapshotOf(old, 1)
	tr := NewTree(w.T)
	maps.Copy(tr.Map, old.Map)
	tr.AddFile("now", Body(5000, 1), 1)
	tr.AddFile("dir/now", Body(200_000, 2), 50_000)
	for _, p := range own {
		tr.AddFile(p, Body(3000, 3), 1)
	}
	w.Past = &Past{}
	w.Past.Add(s)
	w.Begin(tr)
	return s, history.Name + "/" + s.Name()
}

// snapshotOf is a tree as a snapshot. Its time is that of the tree's top directory.
func snapshotOf(tr *Tree, n byte) cvd.Snapshot {
	return cvd.Snapshot{ID: cvd.SnapshotID{0xab, 0xcd, n}, Root: tr.Finish(), Taken: tr.Want[""].Mtime.Std()}
}

// below is what a System shows below a directory.
type below struct {
	System
	dir string
}

func (b below) path(p string) string                    { return path.Join(b.dir, p) }
func (b below) Lstat(p string) (vfs.Attr, error)        { return b.System.Lstat(b.path(p)) }
func (b below) ReadDir(p string) ([]string, error)      { return b.System.ReadDir(b.path(p)) }
func (b below) Readlink(p string) (string, error)       { return b.System.Readlink(b.path(p)) }
func (b below) Getxattr(p, name string) ([]byte, error) { return b.System.Getxattr(b.path(p), name) }

func (b below) Listxattr(p string) ([]string, error) { return b.System.Listxattr(b.path(p)) }

func (b below) Open(p string, f int, m uint32) (File, error) { return b.System.Open(b.path(p), f, m) }

// checkPast compares what is at a place with a tree.
func (w *World) checkPast(old *Tree, at string) {
	w.Helper()
	(&World{T: w.T, Host: w.Host, Tree: old}).Check(below{w.Sys, at})
}

// past: all that a desktop holds is seen in its snapshots as it is, found by name and not by listing,
// and the desktop itself knows nothing of it (invariants 1 and 4).
func past(w *World) {
	old := Zoo(w)
	s, at := w.withPast(old)
	w.checkPast(old, at)
	w.checkPast(old, at)
	w.Check(w.Sys) // the names in the top directory among others
	for _, name := range []string{"latest", "abcd", s.ID.String()} {
		target, err := w.Sys.Readlink(history.Name + "/" + name)
		if err != nil || target != s.Name() {
			w.Errorf("%s leads to %q (%v), want %q", name, target, err, s.Name())
		}
	}
	later := snapshotOf(NewTree(w.T), 2)
	later.Taken = later.Taken.Add(time.Hour)
	w.Past.Add(later)
	if err := checkNames(w.Sys, history.Name, []string{s.Name(), later.Name()}); err != nil {
		w.Error(err)
	}
	for _, name := range []string{"abc", "no such", s.Name() + "0", "1970-01-01T00-00-08Z-" + s.ID.String(), "0123456789abcdef", ".git"} {
		_, err := w.Sys.Lstat(history.Name + "/" + name)
		w.want("a snapshot called "+name, err, syscall.ENOENT)
	}
	_, err := w.Sys.Lstat(at + "/dir/now")
	w.want("a file of today in the past", err, syscall.ENOENT)
	w.Finish()
}

// pastNumbers: no two files of a mount have one number, in the past or today, but names of one file do.
func pastNumbers(w *World) {
	old := Zoo(w)
	_, at := w.withPast(old)
	w.FillAll()
	names, files := map[uint64]string{}, 0
	see := func(p string, want any) {
		a, err := w.Sys.Lstat(p)
		if err != nil {
			w.Fatal(err)
		}
		key := fmt.Sprintf("%p", want)
		if was, seen := names[a.Ino]; seen && was != key {
			w.Errorf("%s has the number %d of another file", brief(p), a.Ino)
		}
		names[a.Ino] = key
		files++
	}
	for p, want := range w.Tree.Want {
		see(p, want)
	}
	distinct := map[*Want]bool{}
	for p, want := range old.Want {
		see(path.Join(at, p), want)
		distinct[want] = true
	}
	see(history.Name, &at)
	if want := len(w.Tree.Want) + len(distinct) + 1; len(names) != want || files <= want {
		w.Errorf("%d numbers for %d names, want %d", len(names), files, want)
	}
}

// pastReadOnly: nothing changes the past, nor takes its place.
func pastReadOnly(w *World) {
	old := NewTree(w.T)
	old.AddFile("dir/f", Body(5000, 1), 1).Xattrs = []cvd.Xattr{{Name: "user.a", Value: []byte("b")}}
	old.Add("l", cvd.Entry{Type: cvd.Symlink, Target: "dir/f"})
	old.Add("empty", cvd.Entry{Type: cvd.Dir, Mode: 0o755})
	_, at := w.withPast(old)
	sys, f := w.Sys, at+"/dir/f"
	for _, flags := range []int{os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND} {
		h, err := sys.Open(f, flags, 0)
		w.want(fmt.Sprintf("open with flags %#x", flags), err, syscall.EROFS)
		if err == nil {
			w.must(h.Close())
		}
	}
	for _, dir := range []string{at, at + "/dir", history.Name, ""} {
		name := path.Join(dir, "new")
		if dir == "" {
			name = history.Name // of the top directory only this name is the past's
		}
		for what, err := range map[string]error{
			"rename into": sys.Rename("now", name, 0),
			"link":        sys.Link("now", path.Join(dir, "linked")),
			"mkdir":       sys.Mkdir(name, 0o755),
			"mknod":       sys.Mknod(name, cvd.Fifo, 0o644, 0, 0),
			"symlink":     sys.Symlink("x", name),
			"chmod":       sys.Chmod(path.Join(dir, "."), 0o700),
		} {
			switch {
			case dir == "" && (what == "link" || what == "chmod"):
				w.want(what, err, nil)
			case dir == "" && errors.Is(err, syscall.EEXIST), dir == "" && errors.Is(err, syscall.EISDIR), dir == "" && errors.Is(err, syscall.ENOTDIR):
			default:
				w.want(what+" in "+brief(dir), err, syscall.EROFS)
			}
		}
	}
	w.must(sys.Unlink("linked"))
	w.must(sys.Chmod("", 0o755))
	for what, err := range map[string]error{
		"chmod": sys.Chmod(f, 0o600), "chown": sys.Chown(f, 1, 1), "truncate": sys.Truncate(f, 3),
		"utimes": sys.SetTimes(f, cvd.Time{Sec: 1}, cvd.Time{Sec: 2}), "utimes of a link": sys.SetTimes(at+"/l", cvd.Time{Sec: 1}, cvd.Time{Sec: 2}),
		"setxattr": sys.Setxattr(f, "user.b", []byte("c")), "removexattr": sys.Removexattr(f, "user.a"),
		"unlink": sys.Unlink(f), "rmdir": sys.Rmdir(at + "/empty"), "rmdir of a snapshot": sys.Rmdir(at), "rmdir of all": sys.Rmdir(history.Name),
		"rename out of": sys.Rename(f, "f", 0), "rename within": sys.Rename(f, at+"/dir/g", 0), "rename of all": sys.Rename(history.Name, "h", 0),
		"rename over": sys.Rename("now", f, 0),
	} {
		w.want(what, err, syscall.EROFS)
	}
	w.want("link out of", sys.Link(f, "f"), syscall.EXDEV)
	w.checkPast(old, at)
	w.Tree.Want[""].Touched = true
	w.Finish()
}

// pastHidden: where the desktop has an entry of the history's name itself, that is what is seen.
func pastHidden(w *World) {
	_, at := w.withPast(NewTree(w.T), history.Name+"/own")
	w.Check(w.Sys)
	_, err := w.Sys.Lstat(at)
	w.want("a snapshot", err, syscall.ENOENT)
	w.must(w.Sys.Unlink(history.Name + "/own"))
	delete(w.Tree.Want, history.Name+"/own")
	w.Tree.Want[history.Name].Touched = true
	w.Finish()
}

// pastConcurrent: many read the past at a time, and each sees what was.
func pastConcurrent(w *World) {
	old := NewTree(w.T)
	for i := range 40 {
		old.AddFile(fmt.Sprintf("d%d/f%d", i%7, i), Body(300*i*i, byte(i)), 60_000)
	}
	_, at := w.withPast(old)
	files := old.Files()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range files {
				p := files[(j*7+i*len(files)/8)%len(files)]
				if err := CheckBody(w.Sys, path.Join(at, p), old.Want[p].Body); err != nil {
					w.Errorf("%s: %v", brief(p), err)
				}
			}
		})
	}
	all.Wait()
}

// pastOffline: out of reach, what is not here is an error that says so, in time, and all is well
// afterwards (invariants 4 and 9).
func pastOffline(w *World) {
	old := NewTree(w.T)
	body := Body(300_000, 3)
	old.AddFile("big", body, 100_000)
	w.Deadline = 500 * time.Millisecond
	s, at := w.withPast(old)
	h, err := w.Sys.Open(at+"/big", os.O_RDONLY, 0)
	w.must(err)
	defer h.Close()
	w.Source.Set(Dead)
	w.Past.Away(true)
	_, err = w.Sys.ReadDir(history.Name)
	w.want("listing the snapshots", err, syscall.ENETUNREACH)
	_, err = h.ReadAt(make([]byte, 10), 0)
	w.want("reading", err, syscall.ENETUNREACH)
	w.Source.Set(Whole)
	w.Past.Away(false)
	w.must(checkOpen(h, body))
	w.checkPast(old, at)
	w.Past.Remove(s.ID)
	if err := checkNames(w.Sys, history.Name, nil); err != nil {
		w.Error(err)
	}
	w.checkLost(old, at)
}

// checkLost wants a snapshot that is no more to give errors or what it was, never anything else.
func (w *World) checkLost(old *Tree, at string) {
	w.Helper()
	w.Source.Set(Lost)
	for _, p := range old.Files() {
		err := CheckBody(w.Sys, path.Join(at, p), old.Want[p].Body)
		if err != nil && !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOENT) {
			w.Errorf("%s: %v", brief(p), err)
		}
	}
}
