package vfstest

import (
	"bytes"
	"os"
	"syscall"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
)

// hardLinks: all names of a file are one file, whichever of them are listed.
func hardLinks(w *World) {
	tr := NewTree(w.T)
	body, small := Body(300_000, 3), Body(3000, 4)
	tr.AddLinks(tr.File("", body), body, "a/one", "b/two", "c/three")
	tr.AddLinks(tr.File("", small), small, "a/x", "c/y")
	tr.AddLinks(cvd.Entry{Type: cvd.Symlink, Target: "t"}, nil, "a/s", "c/s")
	w.Begin(tr)
	// Before b and c are listed: write by the first name, read by another.
	f, err := w.Sys.Open("a/one", os.O_RDWR, 0)
	w.must(err)
	_, err = f.WriteAt([]byte("written"), 150_000)
	w.must(err)
	w.must(f.Close())
	copy(body[150_000:], "written")
	tr.Want["a/one"].Touched = true
	if err := CheckBody(w.Sys, "b/two", body); err != nil {
		w.Error(err)
	}
	// The last name listed goes; names not listed are still names of it.
	w.must(w.Sys.Unlink("a/x"))
	delete(tr.Want, "a/x")
	tr.Want["a"].Touched = true
	w.must(w.Sys.Chmod("c/y", 0o600))
	tr.Want["c/y"].Mode = 0o600
	w.Reopen()
	w.Check(w.Sys)
	a, err := w.Sys.Lstat("a/one")
	w.must(err)
	b, err := w.Sys.Lstat("c/three")
	w.must(err)
	if a.Ino != b.Ino {
		w.Error("two names of one file have two inode numbers")
	}
	w.must(w.Sys.Link("c/y", "a/new name"))
	tr.Want["a/new name"] = tr.Want["c/y"]
	w.must(w.Sys.Link("a/s", "b/s"))
	tr.Want["b/s"], tr.Want["b"].Touched = tr.Want["a/s"], true
	w.Finish()
}

// xattrs: extended attributes of placeholders are set, read and removed as on the
// disk; the marks are not to be seen, and not to be touched.
func xattrs(w *World) {
	tr := NewTree(w.T)
	f := tr.AddFile("file", Body(200_000, 1), 100<<10)
	d := tr.Add("dir", cvd.Entry{Type: cvd.Dir, Mode: 0o755})
	tr.AddFile("dir/below", Body(5000, 1), 1)
	w.Begin(tr)
	for _, p := range []string{"file", "dir"} {
		w.must(w.Sys.Setxattr(p, "user.a", []byte("1")))
		w.must(w.Sys.Setxattr(p, "user.gone", []byte("1")))
		w.must(w.Sys.Removexattr(p, "user.gone"))
		w.want("removing what is not there", w.Sys.Removexattr(p, "user.gone"), syscall.ENODATA)
		_, err := w.Sys.Getxattr(p, "user.gone")
		w.want("reading what is not there", err, syscall.ENODATA)
		for _, mark := range []string{"trusted.looming"} {
			_, err := w.Sys.Getxattr(p, mark)
			w.want("reading the mark", err, syscall.ENODATA)
			w.want("setting the mark", w.Sys.Setxattr(p, mark, []byte("x")), syscall.EPERM)
			w.want("removing the mark", w.Sys.Removexattr(p, mark), syscall.ENODATA)
		}
	}
	f.Xattrs = []cvd.Xattr{{Name: "user.a", Value: []byte("1")}}
	d.Xattrs = f.Xattrs
	w.Check(w.Sys)
	access := acl([3]uint32{aclUserObj, 6, nobodyID}, [3]uint32{aclUser, 6, 1000}, [3]uint32{aclGroupObj, 4, nobodyID},
		[3]uint32{aclMask, 6, nobodyID}, [3]uint32{aclOther, 0, nobodyID})
	w.must(w.Sys.Setxattr("file", "system.posix_acl_access", access))
	f.Xattrs = append([]cvd.Xattr{{Name: "system.posix_acl_access", Value: access}}, f.Xattrs...)
	f.Mode = 0o660 // the mask is the group's mode
	w.Reopen()
	w.Finish()
}

// attributes: owner, mode and times of a placeholder change without its bytes,
// and stay when the bytes come.
func attributes(w *World) {
	tr := NewTree(w.T)
	tr.AddFile("single", Body(50_000, 1), 1)
	tr.AddFile("ranged", Body(400_000, 2), 100<<10)
	tr.AddFile("inline", Body(20, 2), 1)
	tr.Add("dir", cvd.Entry{Type: cvd.Dir, Mode: 0o755})
	tr.AddFile("dir/below", Body(5000, 1), 1)
	tr.Add("fifo", cvd.Entry{Type: cvd.Fifo, Mode: 0o600})
	w.Begin(tr)
	for i, p := range []string{"single", "ranged", "inline", "dir", "fifo"} {
		want := tr.Want[p]
		want.Mode, want.UID, want.GID = 0o751, 1234, 4321
		want.Mtime = cvd.Time{Sec: int64(i) + 500, Nsec: 42}
		w.must(w.Sys.Chown(p, want.UID, want.GID))
		w.must(w.Sys.Chmod(p, want.Mode))
		atime := cvd.Time{Nsec: backing.TimeOmit}
		if _, lacks := w.Host.Lacks[OneTime]; lacks {
			atime = want.Mtime
		}
		w.must(w.Sys.SetTimes(p, atime, want.Mtime))
	}
	if n := w.Source.Fetched.Load(); n > 3 {
		w.Errorf("%d chunks were brought, more than the root and two nodes", n)
	}
	w.Check(w.Sys)
	w.Reopen()
	w.Finish()
}

// createWriteAppend: new files among placeholders, and more at the end of them.
func createWriteAppend(w *World) {
	tr := NewTree(w.T)
	tr.AddFile("dir/single", Body(50_000, 1), 1)
	tr.AddFile("dir/ranged", Body(400_000, 2), 100<<10)
	tr.AddFile("dir/inline", Body(20, 2), 1)
	w.Begin(tr)
	put := func(p string, body []byte) {
		f, err := w.Sys.Open(p, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
		w.must(err)
		_, err = f.WriteAt(body, 0)
		w.must(err)
		w.must(f.Sync())
		w.must(f.Close())
		n := tr.Add(p, cvd.Entry{Type: cvd.File, Mode: 0o640})
		n.Body, n.Touched, tr.Want[parent(p)].Touched = body, true, true
	}
	put("dir/new", Body(123_456, 4))
	put("dir/empty", nil)
	put("\xfe"+long(254), Body(10, 4))
	_, err := w.Sys.Open("dir/new", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	w.want("creating what is there", err, syscall.EEXIST)
	_, err = w.Sys.Open("dir/"+long(256), os.O_RDWR|os.O_CREATE, 0o640)
	w.want("creating a name of 256 bytes", err, syscall.ENAMETOOLONG)
	_, err = w.Sys.Open("dir/new/below", os.O_RDONLY, 0)
	w.want("opening below a file", err, syscall.ENOTDIR)
	for range 2 {
		for _, p := range []string{"dir/single", "dir/ranged", "dir/inline", "dir/new"} {
			f, err := w.Sys.Open(p, os.O_WRONLY|os.O_APPEND, 0)
			w.must(err)
			for range 3 {
				_, err = f.Write([]byte("more\n"))
				w.must(err)
			}
			w.must(f.Close())
			tr.Want[p].Body = append(bytes.Clone(tr.Want[p].Body), "more\nmore\nmore\n"...)
			tr.Want[p].Touched = true
		}
		w.Check(w.Sys)
		w.Reopen()
	}
	w.Finish()
}

// truncate: what was cut off does not come back, and what was not stays.
func truncate(w *World) {
	tr := NewTree(w.T)
	for _, p := range []string{"single", "single0", "singleO"} {
		tr.AddFile(p, Body(50_000, p[len(p)-1]), 1)
	}
	for _, p := range []string{"ranged", "ranged0", "rangedO", "updown"} {
		tr.AddFile(p, Body(500_000, p[len(p)-1]), 100<<10)
	}
	tr.AddFile("inline", Body(300, 1), 1)
	w.Begin(tr)
	set := func(p string, size int) {
		w.Helper()
		w.must(w.Sys.Truncate(p, uint64(size)))
		b := append(bytes.Clone(tr.Want[p].Body), make([]byte, max(0, size-len(tr.Want[p].Body)))...)
		tr.Want[p].Body, tr.Want[p].Touched = b[:size], true
	}
	set("single", 10_001)
	set("ranged", 250_001)
	set("single0", 0)
	set("ranged0", 0)
	set("inline", 5000)
	set("updown", 150_000)
	set("updown", 450_000)
	set("updown", 120_000)
	set("updown", 600_000)
	for _, p := range []string{"singleO", "rangedO"} {
		before := w.Source.Fetched.Load()
		f, err := w.Sys.Open(p, os.O_WRONLY|os.O_TRUNC, 0)
		w.must(err)
		if n := w.Source.Fetched.Load() - before; n > 0 {
			w.Errorf("%s: %d chunks were brought to be thrown away", p, n)
		}
		_, err = f.WriteAt([]byte("short"), 3)
		w.must(err)
		w.must(f.Close())
		tr.Want[p].Body, tr.Want[p].Touched = []byte("\x00\x00\x00short"), true
	}
	w.Check(w.Sys)
	w.Reopen()
	set("single", 90_000)
	set("ranged", 400_000)
	w.Check(w.Sys)
	w.Reopen()
	w.Finish()
}

// partialOverwrite: what a user wrote into a file that is not here stays, and
// around it stands what was there before.
func partialOverwrite(w *World) {
	tr := NewTree(w.T)
	tr.AddFile("ranged", Body(900_000, 2), 100<<10)
	tr.AddFile("single", Body(90_000, 2), 1)
	w.Begin(tr)
	write := func(p string, at int, data []byte) {
		w.Helper()
		f, err := w.Sys.Open(p, os.O_RDWR, 0)
		w.must(err)
		_, err = f.WriteAt(data, int64(at))
		w.must(err)
		w.must(f.Close())
		b := append(bytes.Clone(tr.Want[p].Body), make([]byte, max(0, at+len(data)-len(tr.Want[p].Body)))...)
		copy(b[at:], data)
		tr.Want[p].Body, tr.Want[p].Touched = b, true
	}
	write("ranged", 0, []byte("head"))
	write("ranged", 99_990, Body(20, 200))
	write("ranged", 350_000, Body(120_000, 201))
	write("single", 40_000, Body(100, 202))
	write("ranged", 899_999, []byte("beyond the end"))
	w.Reopen()
	write("ranged", 351_000, Body(10, 203))
	write("ranged", 1_000_000, Body(1000, 204))
	w.fillRange("ranged", 300_000, 100_000)
	w.Check(w.Sys)
	w.Reopen()
	w.Finish()
}

// move does in the model what a rename does.
func (w *World) move(old, p string) {
	for q := range w.Tree.Want {
		if q == p || len(q) > len(p) && q[:len(p)+1] == p+"/" {
			delete(w.Tree.Want, q)
		}
	}
	for _, q := range w.Tree.Paths() {
		if q == old || len(q) > len(old) && q[:len(old)+1] == old+"/" {
			w.Tree.Want[p+q[len(old):]] = w.Tree.Want[q]
			delete(w.Tree.Want, q)
		}
	}
	w.Tree.Want[parent(old)].Touched, w.Tree.Want[parent(p)].Touched = true, true
}

// rename: placeholders move as what they stand for.
func rename(w *World) {
	tr := NewTree(w.T)
	for _, d := range []string{"a", "b", "c", "full", "empty"} {
		tr.Add(d, cvd.Entry{Type: cvd.Dir, Mode: 0o755})
	}
	for _, p := range []string{"a/single", "b/target", "a/sub/x/deep", "full/in it", "c/y"} {
		tr.AddFile(p, Body(50_000, p[0]), 1)
	}
	tr.AddFile("a/ranged", Body(500_000, 7), 100<<10)
	w.Begin(tr)
	step := func(old, p string) {
		w.Helper()
		w.must(w.Sys.Rename(old, p, 0))
		w.move(old, p)
	}
	w.readAt("a/ranged", tr.Want["a/ranged"].Body, 200_000, 1000) // half here
	step("a/single", "b/moved")
	step("a/ranged", "b/target") // over a placeholder
	step("a/sub", "c/sub")       // a directory not listed
	step("c", "d")
	step("d/sub/x", "empty") // over an empty directory
	w.want("renaming over a directory that is not empty", w.Sys.Rename("a", "full", 0), syscall.ENOTEMPTY)
	w.want("renaming a file over a directory", w.Sys.Rename("b/moved", "full", 0), syscall.EISDIR)
	w.want("renaming a directory over a file", w.Sys.Rename("full", "b/moved", 0), syscall.ENOTDIR)
	w.want("renaming a directory into itself", w.Sys.Rename("d", "d/sub/z", 0), syscall.EINVAL)
	w.want("renaming nothing", w.Sys.Rename("nothing", "d/z", 0), syscall.ENOENT)
	w.Check(w.Sys)
	w.Reopen()
	w.Check(w.Sys)
	step("full", "full2")
	w.Finish()
}

// renameFlags: exchange, and renaming only to a free name.
func renameFlags(w *World) {
	const noReplace, exchange = 1, 2
	tr := NewTree(w.T)
	tr.AddFile("a/one", Body(50_000, 1), 1)
	tr.AddFile("b/two", Body(500_000, 2), 100<<10)
	tr.AddFile("dir/in it", Body(5000, 3), 1)
	w.Begin(tr)
	swap := func(p, q string) {
		w.Helper()
		w.must(w.Sys.Rename(p, q, exchange))
		w.move(p, "swap")
		w.move(q, p)
		w.move("swap", q)
	}
	swap("a/one", "b/two")
	swap("dir", "a/one") // a directory not listed, and a file
	w.want("renaming to a taken name", w.Sys.Rename("b/two", "a/one", noReplace), syscall.EEXIST)
	w.must(w.Sys.Rename("b/two", "b/free", noReplace))
	w.move("b/two", "b/free")
	w.want("exchanging with nothing", w.Sys.Rename("b/free", "b/none", exchange), syscall.ENOENT)
	w.Check(w.Sys)
	w.Reopen()
	w.Finish()
}

// unlinkWhileOpen: who has a file open keeps it, placeholder or not.
func unlinkWhileOpen(w *World) {
	tr := NewTree(w.T)
	bodies := map[string][]byte{"single": Body(50_000, 1), "ranged": Body(500_000, 2), "over": Body(400_000, 3)}
	for p, b := range bodies {
		tr.AddFile(p, b, 100<<10)
	}
	tr.AddFile("new", Body(3000, 9), 1)
	w.Begin(tr)
	open := map[string]File{}
	for p := range bodies {
		f, err := w.Sys.Open(p, os.O_RDWR, 0)
		w.must(err)
		open[p] = f
	}
	w.must(w.Sys.Unlink("single"))
	w.must(w.Sys.Unlink("ranged"))
	w.must(w.Sys.Rename("new", "over", 0))
	w.move("new", "over")
	for p, f := range open {
		if err := checkOpen(f, bodies[p]); err != nil {
			w.Errorf("%s: %v", p, err)
		}
		_, err := f.WriteAt([]byte("still"), 10)
		w.must(err)
		w.must(f.Truncate(20))
		copy(bodies[p][10:], "still")
		if err := checkOpen(f, bodies[p][:20]); err != nil {
			w.Errorf("%s: %v", p, err)
		}
		if a, err := f.Stat(); err != nil || a.Size != 20 {
			w.Errorf("%s: %+v, %v", p, a, err)
		}
		w.must(f.Sync())
		w.must(f.Close())
	}
	for _, p := range []string{"single", "ranged"} {
		delete(tr.Want, p)
		_, err := w.Sys.Lstat(p)
		w.want("stat of what was removed", err, syscall.ENOENT)
	}
	w.Reopen()
	w.Finish()
}

// rmdirNotEmpty: a directory that was never listed is not taken for an empty one.
func rmdirNotEmpty(w *World) {
	tr := NewTree(w.T)
	tr.AddFile("full/deep/file", Body(5000, 1), 1)
	tr.Add("empty", cvd.Entry{Type: cvd.Dir, Mode: 0o755})
	tr.AddFile("file", Body(5000, 1), 1)
	w.Begin(tr)
	w.want("rmdir of a placeholder", w.Sys.Rmdir("full"), syscall.ENOTEMPTY)
	w.want("rmdir of a placeholder below", w.Sys.Rmdir("full/deep"), syscall.ENOTEMPTY)
	w.want("rmdir of a file", w.Sys.Rmdir("file"), syscall.ENOTDIR)
	w.want("unlink of a directory", w.Sys.Unlink("full"), syscall.EISDIR)
	w.want("rmdir of nothing", w.Sys.Rmdir("none"), syscall.ENOENT)
	w.Check(w.Sys)
	w.must(w.Sys.Rmdir("empty"))
	delete(tr.Want, "empty")
	tr.Want[""].Touched = true
	w.must(w.Sys.Rename("full", "renamed", 0)) // a name that a removal failed on can move
	w.move("full", "renamed")
	w.want("rmdir of a placeholder", w.Sys.Rmdir("renamed"), syscall.ENOTEMPTY)
	w.must(w.Sys.Unlink("renamed/deep/file"))
	w.must(w.Sys.Rmdir("renamed/deep"))
	w.must(w.Sys.Rmdir("renamed"))
	for _, p := range []string{"renamed/deep/file", "renamed/deep", "renamed"} {
		delete(tr.Want, p)
	}
	w.Reopen()
	w.Finish()
}
