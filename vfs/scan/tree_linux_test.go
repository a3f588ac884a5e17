package scan

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sys/unix"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

// oddities makes a tree with everything that a Linux file system holds. The test must be root.
func oddities(t testing.TB, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes device nodes and trusted attributes: run it as root")
	}
	p := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	write := func(name string, b []byte, mode os.FileMode) { must(t, os.WriteFile(p(name), b, mode)) }
	write("empty", nil, 0o600)
	write("inline", []byte("small"), 0o644)
	write("inline512", random(1, 512), 0o644)
	write("single513", random(2, 513), 0o644)
	write("whole128k", random(3, 128<<10), 0o644)
	write("cut128k1", random(4, 128<<10+1), 0o644)
	write("two", random(5, 2<<20), 0o644)
	write("big", random(6, 5<<20+12345), 0o640)
	write("text", bytes.Repeat([]byte("the same line again and again\n"), 50000), 0o640)
	write("listed", bytes.Repeat(random(7, 1<<20), 9), 0o600)
	write("setuid", []byte("x"), 0o755)
	must(t, unix.Chmod(p("setuid"), 0o6755))
	must(t, os.Mkdir(p("sticky"), 0o777))
	must(t, unix.Chmod(p("sticky"), 0o1777))
	must(t, os.Mkdir(p("emptydir"), 0o700))
	must(t, os.Lchown(p("inline"), 1234, 4321))
	must(t, os.Symlink("nowhere/\xff\xfe", p("link")))
	must(t, os.Lchown(p("link"), 7, 8))
	write("caf\xe9", []byte("latin"), 0o644)
	write(strings.Repeat("n", 255), []byte("long"), 0o644)
	must(t, unix.Mknod(p("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, unix.Mknod(p("disk"), unix.S_IFBLK|0o660, int(unix.Mkdev(259, 1<<18))))
	must(t, unix.Mkfifo(p("fifo"), 0o600))
	must(t, unix.Mknod(p("socket"), unix.S_IFSOCK|0o700, 0))
	must(t, os.MkdirAll(p("b", "sub"), 0o755))
	write("b/first", random(8, 3000), 0o644)
	must(t, os.Link(p("b/first"), p("zz-second")))
	must(t, os.Link(p("b/first"), p("b/sub/third")))
	must(t, os.Link(p("fifo"), p("b/fifo")))
	must(t, unix.Setxattr(p("text"), "user.note", random(9, 900), 0))
	must(t, unix.Setxattr(p("b"), "trusted.test", []byte("t"), 0))
	must(t, unix.Lsetxattr(p("link"), "trusted.on-link", []byte{0, 1, 2}, 0))
	// cap_net_raw+ep, and an ACL that lets user 1000 read and write.
	must(t, unix.Setxattr(p("setuid"), "security.capability", []byte{1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0))
	acl := []byte{
		2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 232, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
		16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
	}
	must(t, unix.Setxattr(p("two"), "system.posix_acl_access", acl, 0))
	must(t, unix.Setxattr(p("sticky"), "system.posix_acl_default", acl, 0))
	sparse, err := os.Create(p("sparse"))
	must(t, err)
	must(t, sparse.Truncate(20<<20))
	_, err = sparse.WriteAt(random(10, 70000), 7<<20)
	must(t, err)
	must(t, sparse.Close())
	must(t, os.WriteFile(p("smallsparse"), nil, 0o644))
	must(t, os.Truncate(p("smallsparse"), 100000))
	old := time.Date(1931, 5, 4, 3, 2, 1, 987654321, time.UTC)
	must(t, os.Chtimes(p("inline512"), old, old))
	deep(t, dir)
	for i := range 300 {
		must(t, os.WriteFile(p("b", fmt.Sprintf("many%03d", i)), random(uint64(i+100), i*37), 0o644))
	}
}

// deep makes a path of more than 4096 bytes.
func deep(t testing.TB, dir string) {
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	must(t, err)
	for i := range 22 {
		name := fmt.Sprintf("%02d%s", i, strings.Repeat("d", 230))
		must(t, unix.Mkdirat(fd, name, 0o755))
		next, err := unix.Openat(fd, name, unix.O_DIRECTORY|unix.O_RDONLY, 0)
		must(t, err)
		must(t, unix.Close(fd))
		fd = next
	}
	f, err := unix.Openat(fd, "bottom", unix.O_CREAT|unix.O_WRONLY, 0o640)
	must(t, err)
	_, err = unix.Write(f, random(11, 1000))
	must(t, err)
	must(t, unix.Fsetxattr(f, "user.deep", []byte("yes"), 0))
	must(t, unix.Close(f))
	must(t, unix.Close(fd))
}

// described is a tree as text: one line per entry.
type described map[string]string

func (d described) diff(o described) string {
	var out []string
	for k, v := range d {
		if o[k] != v {
			out = append(out, fmt.Sprintf("%q:\n   %s\n   %s", short(k), v, o[k]))
		}
	}
	for k, v := range o {
		if _, ok := d[k]; !ok {
			out = append(out, fmt.Sprintf("%q:\n   -\n   %s", short(k), v))
		}
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

func short(s string) string {
	if len(s) > 300 {
		return s[:100] + "..." + s[len(s)-100:]
	}
	return s
}

func describeXattrs(xs []cvd.Xattr) (s string) {
	for _, x := range xs {
		s += fmt.Sprintf(" %s=%x", x.Name, x.Value)
	}
	return s
}

// onDisk describes a directory by means that have nothing to do with the scan's.
func onDisk(t testing.TB, dir string) described {
	t.Helper()
	d := described{}
	first := map[uint64]string{}
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	must(t, err)
	walkDisk(t, fd, "", d, first)
	return d
}

func walkDisk(t testing.TB, fd int, at string, d described, first map[uint64]string) {
	f := os.NewFile(uintptr(fd), "dir")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	must(t, err)
	sort.Strings(names)
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	d[at+"/"] = fmt.Sprintf("dir %o %d:%d %d.%d%s", st.Mode&0o7777, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, diskXattrs(t, fd, "."))
	for _, name := range names {
		must(t, unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW))
		path := at + "/" + name
		line := fmt.Sprintf("%o %d:%d %d.%d%s", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, diskXattrs(t, fd, name))
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			sub, err := unix.Openat(fd, name, unix.O_DIRECTORY|unix.O_RDONLY, 0)
			must(t, err)
			walkDisk(t, sub, path, d, first)
			continue
		case unix.S_IFREG:
			b, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d/%s", fd, name))
			must(t, err)
			line += fmt.Sprintf(" %d %s sparse=%v", len(b), chunk.Sum(b), st.Blocks*512 < st.Size)
		case unix.S_IFLNK:
			s, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d/%s", fd, name))
			must(t, err)
			line += " -> " + s
		case unix.S_IFCHR, unix.S_IFBLK:
			line += fmt.Sprintf(" %d,%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)))
		}
		if st.Nlink > 1 {
			if first[st.Ino] == "" {
				first[st.Ino] = path
			}
			line += " = " + first[st.Ino]
		}
		d[path] = line
	}
}

func diskXattrs(t testing.TB, fd int, name string) string {
	path := fmt.Sprintf("/proc/self/fd/%d/%s", fd, name)
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	must(t, err)
	names := strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 })
	sort.Strings(names)
	var s string
	for _, x := range names {
		n, err := unix.Lgetxattr(path, x, buf)
		must(t, err)
		s += fmt.Sprintf(" %s=%x", x, buf[:n])
	}
	return s
}

var kinds = map[cvd.Type]uint32{
	cvd.File: unix.S_IFREG, cvd.Symlink: unix.S_IFLNK, cvd.CharDevice: unix.S_IFCHR, cvd.BlockDevice: unix.S_IFBLK,
	cvd.Fifo: unix.S_IFIFO, cvd.Socket: unix.S_IFSOCK,
}

// inSnapshot describes a snapshot in the same words.
func inSnapshot(t testing.TB, src chunk.Source, root cvd.Root) described {
	t.Helper()
	d := described{}
	top, err := cvd.ReadRoot(context.Background(), src, root)
	must(t, err)
	walkSnapshot(t, src, top, "", d, map[uint64]string{})
	return d
}

func walkSnapshot(t testing.TB, src chunk.Source, dir *cvd.Entry, at string, d described, first map[uint64]string) {
	d[at+"/"] = fmt.Sprintf("dir %o %d:%d %d.%d%s", dir.Mode, dir.UID, dir.GID, dir.Mtime.Sec, dir.Mtime.Nsec, describeXattrs(dir.Xattrs))
	must(t, cvd.ReadDir(context.Background(), src, dir.Tree, func(e *cvd.Entry) error {
		path := at + "/" + e.Name
		if e.Type == cvd.Dir {
			walkSnapshot(t, src, e, path, d, first)
			return nil
		}
		line := fmt.Sprintf("%o %d:%d %d.%d%s", e.Mode|kinds[e.Type], e.UID, e.GID, e.Mtime.Sec, e.Mtime.Nsec, describeXattrs(e.Xattrs))
		switch e.Type {
		case cvd.File:
			b := contentOf(t, src, e)
			if chunk.Sum(b) != e.FileID() {
				t.Errorf("%s: the file's id is not that of its bytes", path)
			}
			line += fmt.Sprintf(" %d %s sparse=%v", len(b), chunk.Sum(b), e.Sparse)
		case cvd.Symlink:
			line += " -> " + e.Target
		case cvd.CharDevice, cvd.BlockDevice:
			line += fmt.Sprintf(" %d,%d", e.Major, e.Minor)
		}
		if e.Group != 0 {
			if first[e.Group] == "" {
				first[e.Group] = path
				if want := cvd.LinkGroup(path[1:]); e.Group != want {
					t.Errorf("%s: hard-link group %x, want %x", path, e.Group, want)
				}
			}
			line += " = " + first[e.Group]
		}
		d[path] = line
		return nil
	}))
}

func contentOf(t testing.TB, src chunk.Source, e *cvd.Entry) []byte {
	if e.Size <= cvd.InlineMax {
		return e.Content.Inline
	}
	refs, err := cvd.ChunksOf(context.Background(), src, e.Size, &e.Content)
	must(t, err)
	var b []byte
	for _, r := range refs {
		c, err := chunk.Get(context.Background(), src, r.ID)
		must(t, err)
		b = append(b, c...)
	}
	return b
}
