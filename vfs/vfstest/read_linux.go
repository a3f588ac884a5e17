package vfstest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sys/unix"
)

// Zoo is a desktop with one of everything that a Linux file system holds.
func Zoo(w *World) *Tree {
	tr := NewTree(w.T)
	for _, f := range []struct {
		name string
		size int
	}{
		{"empty", 0},
		{"one", 1},
		{"inline", cvd.InlineMax},
		{"single", cvd.InlineMax + 1},
		{"page", 4096},
		{"mid", 100_000},
		{"whole", chunk.WholeMax},
		{"ranged", chunk.WholeMax + 1},
		{"large", 1<<20 + 12345},
	} {
		tr.AddFile("sizes/"+f.name, Body(f.size, byte(f.size)), 100<<10)
	}
	tr.AddFile("sizes/listed", Body(3<<20, 77), 64<<10)
	tr.AddFile("sizes/long", Body(5<<20, 78), 140) // a list of 37449 chunks, too long for a mark
	sparse := make([]byte, 3<<20)
	copy(sparse[1<<20:], Body(70_000, 5))
	tr.AddFile("sizes/sparse", sparse, 256<<10).Sparse = true
	hole := make([]byte, 50_000)
	copy(hole[20_000:], "something")
	tr.AddFile("sizes/small sparse", hole, 1).Sparse = true

	for i, mode := range []uint32{0o4755, 0o2755, 0o6711, 0, 0o444, 0o200, 0o777} {
		tr.AddFile(fmt.Sprintf("modes/%o", mode), Body(100*i*i*i, 9), 1).Mode = mode
	}
	tr.AddFile("owners/user", Body(5000, 1), 1).UID = 1000
	tr.AddFile("owners/group", Body(10, 1), 1).GID = 65534
	setuid := tr.AddFile("owners/setuid of a user", Body(6000, 1), 1)
	setuid.Mode, setuid.UID, setuid.GID = 0o6755, 1000, 1001
	tr.Add("tmp", cvd.Entry{Type: cvd.Dir, Mode: 0o1777})
	tr.Add("shared", cvd.Entry{Type: cvd.Dir, Mode: 0o2775, GID: 50, UID: 3})
	tr.Add("closed", cvd.Entry{Type: cvd.Dir, Mode: 0})
	tr.AddFile("closed/in it", Body(5000, 8), 1)
	tr.AddFile("times/old", Body(3000, 1), 1).Mtime = cvd.Time{Sec: -1, Nsec: 5}
	tr.AddFile("times/late", Body(3000, 2), 1).Mtime = cvd.Time{Sec: 1 << 33, Nsec: 999_999_999}
	tr.Add("times/epoch", cvd.Entry{Type: cvd.Dir, Mode: 0o755, Mtime: cvd.Time{Nsec: 1}})

	tr.Add("dev/null", cvd.Entry{Type: cvd.CharDevice, Mode: 0o666, Major: 1, Minor: 3})
	tr.Add("dev/disk", cvd.Entry{Type: cvd.BlockDevice, Mode: 0o660, GID: 6, Major: bigMajor, Minor: bigMinor})
	tr.Add("dev/fifo", cvd.Entry{Type: cvd.Fifo, Mode: 0o600})
	tr.Add("dev/socket", cvd.Entry{Type: cvd.Socket, Mode: 0o755, UID: 33})
	tr.Add("links/short", cvd.Entry{Type: cvd.Symlink, Target: "../sizes/one"})
	tr.Add("links/dangling", cvd.Entry{Type: cvd.Symlink, Target: "/nothing/here", UID: 1000, GID: 1000})
	tr.Add("links/long", cvd.Entry{Type: cvd.Symlink, Target: long(4095)})
	tr.AddLinks(tr.File("", Body(300_000, 3)), Body(300_000, 3), "a/hard", "b/c/hard", "d/hard", "d/hard again")
	tr.AddLinks(tr.File("", Body(3000, 4)), Body(3000, 4), "a/small", "z/small")
	tr.AddLinks(tr.File("", Body(30, 4)), Body(30, 4), "a/inline", "z/inline")

	for _, name := range []string{"\xff\xfe\x80 no text", long(255), "new\nline", " ", "...", "-rf", "*?[a]", "ΓÇÖ…漢字", strings.Repeat("漢", 85)} {
		tr.AddFile("names/"+name, Body(2500, name[0]), 1)
		tr.Add("names/in/"+name, cvd.Entry{Type: cvd.Dir, Mode: 0o755})
	}
	withXattrs(tr)
	return tr
}

func withXattrs(tr *Tree) {
	access := acl([3]uint32{aclUserObj, 6, nobodyID}, [3]uint32{aclUser, 4, 1000}, [3]uint32{aclGroupObj, 4, nobodyID},
		[3]uint32{aclMask, 4, nobodyID}, [3]uint32{aclOther, 4, nobodyID})
	f := tr.AddFile("xattrs/file", Body(9000, 1), 1)
	f.Xattrs = []cvd.Xattr{{Name: "user.empty"}, {Name: "user.note", Value: bytes.Repeat([]byte("x"), 1000)}}
	tr.AddFile("xattrs/capable", Body(9000, 2), 1).Xattrs = []cvd.Xattr{{Name: "security.capability", Value: capability}}
	tr.AddFile("xattrs/acl", Body(200_000, 3), 50_000).Xattrs = []cvd.Xattr{{Name: "system.posix_acl_access", Value: access}}
	tr.AddFile("xattrs/inline", Body(9, 2), 1).Xattrs = []cvd.Xattr{{Name: "trusted.overlay.opaque", Value: []byte("y")}, {Name: "user.\xff", Value: []byte{0, 1}}}
	d := tr.Add("xattrs/dir", cvd.Entry{Type: cvd.Dir, Mode: 0o755})
	d.Xattrs = []cvd.Xattr{{Name: "system.posix_acl_default", Value: access}, {Name: "user.dir", Value: []byte("d")}}
	tr.AddFile("xattrs/dir/below", Body(100, 1), 1)
}

// everything: all that a Linux file system holds is seen as it is (invariant 1),
// cold, after a re-open, and when it is native, in the view and on the disk.
func everything(w *World) {
	w.Begin(Zoo(w))
	w.Check(w.Sys)
	w.Check(w.Sys)
	w.Reopen()
	w.Check(w.Sys)
	w.Finish()
}

// halfHydrated: placeholders, half-filled and native files are the same to whoever reads.
func halfHydrated(w *World) {
	w.Begin(Zoo(w))
	files := w.Tree.Files()
	for i, p := range files {
		switch i % 3 {
		case 0:
			w.fill([]string{p})
		case 1:
			if size := uint64(len(w.Tree.Want[p].Body)); size > 0 {
				w.fillRange(p, size/3, size/3)
			}
		}
	}
	w.Reopen()
	for _, p := range files {
		if body := w.Tree.Want[p].Body; len(body) > 10 {
			w.readAt(p, body, len(body)/2, 10)
		}
	}
	w.Check(w.Sys)
	w.Reopen()
	w.Finish()
}

// readAt reads a piece of a file and compares it.
func (w *World) readAt(p string, body []byte, at, n int) {
	w.Helper()
	f, err := w.Sys.Open(p, os.O_RDONLY, 0)
	if err != nil {
		w.Errorf("%s: %v", brief(p), err)
		return
	}
	defer f.Close()
	buf := make([]byte, n)
	m, err := f.ReadAt(buf, int64(at))
	if exp := body[min(at, len(body)):min(at+n, len(body))]; err != nil || !bytes.Equal(buf[:m], exp) {
		w.Errorf("%s: %d bytes at %d: %v; %s", brief(p), n, at, err, firstDiff(buf[:m], exp, at))
	}
}

// hugeAndSparse: a file far larger than memory is read where somebody looks, and
// brings only that.
func hugeAndSparse(w *World) {
	tr := NewTree(w.T)
	zero, _ := tr.Put(make([]byte, 1<<20))
	refs := make([]cvd.Ref, 20<<10)
	for i := range refs {
		refs[i] = cvd.Ref{ID: zero, Size: 1 << 20}
	}
	marks := map[int][]byte{0: Body(1<<20, 1), 7777: Body(1<<20, 2), len(refs) - 1: Body(1<<20, 3)}
	for i, b := range marks {
		refs[i].ID, _ = tr.Put(b)
	}
	huge := &Want{Skip: true, Entry: cvd.Entry{Type: cvd.File, Mode: 0o644, Size: uint64(len(refs)) << 20, Sparse: true, Content: tr.content(chunk.Sum([]byte("huge")), refs)}}
	*tr.Add("huge", huge.Entry) = *huge
	tr.Want["huge"].Name, tr.Want["huge"].Mtime = "huge", cvd.Time{Sec: 5}
	w.Begin(tr)
	w.Check(w.Sys)
	f, err := w.Sys.Open("huge", os.O_RDONLY, 0)
	w.must(err)
	for i, b := range marks {
		buf := make([]byte, 100_000)
		n, err := f.ReadAt(buf, int64(i)<<20+5)
		if err != nil || !bytes.Equal(buf[:n], b[5:5+len(buf)]) {
			w.Errorf("at %d MiB: %d bytes, %v", i, n, err)
		}
	}
	w.must(f.Close())
	if n := w.Source.Fetched.Load(); n > 200 {
		w.Errorf("%d chunks were brought for three short reads", n)
	}
	w.Reopen()
	w.Check(w.Sys)
}

// readingAll: a program that reads file after file has them brought many at a time.
func readingAll(w *World) {
	tr := NewTree(w.T)
	for i := range 600 {
		tr.AddFile(fmt.Sprintf("%d/%d/%x", i/200, i/20, i*7919), Body(3000+i, byte(i)), 1)
	}
	w.Begin(tr)
	w.Source.Delay(5 * time.Millisecond)
	before := w.Source.Requests.Load()
	w.Check(w.Sys)
	if n := w.Source.Requests.Load() - before; n > 200 {
		w.Errorf("%d requests for %d files", n, len(tr.Files()))
	}
	w.Finish()
}

// manyEntries: a directory of 100,000 entries, in many parts, is listed whole, and each is found.
func manyEntries(w *World) {
	const count = 100_000
	tr := NewTree(w.T)
	tr.Add("big", cvd.Entry{Type: cvd.Dir, Mode: 0o755})
	for i := range count {
		body := []byte(nil)
		if i%1000 == 0 {
			body = Body(3000, byte(i/1000))
		}
		w := tr.AddFile(fmt.Sprintf("big/%x-entry-%d", i*7919%1000, i), body, 1)
		w.Mtime = cvd.Time{Sec: int64(i)}
	}
	w.Begin(tr)
	names, err := w.Sys.ReadDir("big")
	if err != nil || len(names) != count {
		w.Fatalf("%d names, %v", len(names), err)
	}
	seen := make(map[string]bool, count)
	for _, n := range names {
		seen["big/"+n] = true
	}
	for p := range tr.Want {
		if parent(p) == "big" && !seen[p] {
			w.Fatalf("%s is not listed", p)
		}
	}
	for range 2000 {
		p := "big/" + names[rand.IntN(count)]
		if err := w.check(w.Sys, p, nil); err != nil {
			w.Fatalf("%s: %v", p, err)
		}
	}
}

// beyondPathMax: directories deeper than a path can be named are reached step by step.
func beyondPathMax(w *World) {
	tr := NewTree(w.T)
	deep := "deep"
	for range 40 {
		deep += "/" + long(200)
	}
	body := Body(250_000, 3)
	tr.AddFile(deep+"/file", body, 100<<10)
	tr.Add(deep+"/link", cvd.Entry{Type: cvd.Symlink, Target: "file"})
	w.Begin(tr)
	w.Check(w.Sys)
	w.must(w.Sys.Mkdir(deep+"/made", 0o755))
	w.must(w.Sys.Rename(deep+"/file", deep+"/made/file", 0))
	if err := CheckBody(w.Sys, deep+"/made/file", body); err != nil {
		w.Error(err)
	}
	w.must(w.Sys.Rename(deep+"/made/file", deep+"/file", 0))
	w.must(w.Sys.Rmdir(deep + "/made"))
	tr.Want[deep].Touched = true
	w.Finish()
}

// statfs: the room is that of the disk beneath.
func statfs(w *World) {
	w.Begin(Zoo(w))
	all, _, err := w.Sys.Space()
	w.must(err)
	var st unix.Statfs_t
	w.must(unix.Statfs(w.Backing(), &st))
	if want := st.Blocks * uint64(st.Bsize); all != want {
		w.Errorf("%d bytes in all, want %d", all, want)
	}
}

// smallChanged: a small native file that was read before shows every change of
// it, whichever way it is made, and however long it becomes (invariant 4).
func smallChanged(w *World) {
	tr := NewTree(w.T)
	for _, size := range []int{0, 100, 32 << 10, 32<<10 + 1} {
		tr.AddFile(fmt.Sprintf("d/%d", size), Body(size, 3), 1).Touched = true
	}
	w.Begin(tr)
	w.FillAll()
	for _, p := range tr.Files() {
		want := tr.Want[p]
		see := func(what string) {
			w.Helper()
			for range 2 {
				if err := CheckBody(w.Sys, p, want.Body); err != nil {
					w.Fatalf("%s, %s: %v", p, what, err)
				}
			}
		}
		write := func(flags int, at int64, data []byte) {
			w.Helper()
			f, err := w.Sys.Open(p, flags, 0)
			w.must(err)
			_, err = f.WriteAt(data, at)
			w.must(err)
			w.must(f.Close())
		}
		see("new")
		write(os.O_WRONLY, 0, []byte("overwritten"))
		want.Body = append([]byte("overwritten"), want.Body[min(len(want.Body), 11):]...)
		see("overwritten")
		w.must(w.Sys.Truncate(p, 5))
		want.Body = want.Body[:5]
		see("cut")
		w.must(w.Sys.Truncate(p, 5000))
		want.Body = append(want.Body[:5:5], make([]byte, 4995)...)
		see("longer, with zeros")
		f, err := w.Sys.Open(p, os.O_RDONLY, 0)
		w.must(err)
		write(os.O_RDWR, 4000, Body(50_000, 5))
		want.Body = append(want.Body[:4000], Body(50_000, 5)...)
		if err := checkOpen(f, want.Body); err != nil {
			w.Errorf("%s, open while it grew: %v", p, err)
		}
		w.must(f.Close())
		see("large")
		write(os.O_WRONLY|os.O_TRUNC, 0, []byte("small again"))
		want.Body = []byte("small again")
		see("small again")
	}
	w.Finish()
}
