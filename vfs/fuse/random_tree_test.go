//go:build linux

package fuse_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/vfstest"
	"golang.org/x/sys/unix"
)

// Random makings, removals, renamings, links and changes of attributes in a tree.
func TestRandomTree(t *testing.T) {
	w := newTwins(t, func(tr *vfstest.Tree) {
		for i := range 4 {
			for j := range 3 {
				for k, size := range []int{0, 100, 6000, 140_000} {
					tr.AddFile(fmt.Sprintf("n%d/n%d/n%d", i, j, k), vfstest.Body(size, byte(i+j+k)), 20_000)
				}
			}
		}
	})
	for end := time.Now().Add(*randomFor); time.Now().Before(end); {
		stop := w.filling()
		for range 400 {
			w.treeStep()
		}
		stop()
		w.same()
		if w.r.IntN(4) == 0 {
			w.close()
			w.open()
		}
	}
}

// name is a path that may or may not be there, of at most four names.
func (w *twins) name() string {
	p := "."
	for range 1 + w.r.IntN(4) {
		p += fmt.Sprintf("/n%d", w.r.IntN(5))
	}
	return p
}

// treeStep is one random operation on names.
func (w *twins) treeStep() {
	a, b, v := w.name(), w.name(), w.r.IntN(1<<20)
	do := func(what string, op func(a, b string) error) {
		w.both(fmt.Sprintf("%s %s %s %d", what, a, b, v), func(dir string) ([]byte, error) {
			return nil, op(filepath.Join(dir, a), filepath.Join(dir, b))
		})
	}
	switch w.r.IntN(16) {
	case 0, 1:
		do("write", func(a, _ string) error {
			h, err := os.OpenFile(a, os.O_WRONLY|os.O_CREATE|[]int{0, os.O_TRUNC, os.O_EXCL, os.O_APPEND}[v%4], 0o640)
			if err != nil {
				return err
			}
			defer h.Close()
			_, err = h.Write(vfstest.Body(v%50_000, byte(v)))
			return err
		})
	case 2:
		do("mkdir", func(a, _ string) error { return unix.Mkdir(a, uint32(v)&0o1777) })
	case 3:
		do("unlink", func(a, _ string) error { return unix.Unlink(a) })
	case 4:
		do("rmdir", func(a, _ string) error { return unix.Rmdir(a) })
	case 5, 6, 7:
		do("rename", func(a, b string) error {
			return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, uint([]int{0, 0, 1, 2}[v%4]))
		})
	case 8:
		do("link", func(a, b string) error { return unix.Link(a, b) })
	case 9:
		do("symlink", func(a, _ string) error { return unix.Symlink(fmt.Sprintf("../n%d", v%5), a) })
	case 10:
		do("truncate", func(a, _ string) error { return unix.Truncate(a, int64(v%200_000)) })
	case 11:
		do("chmod", func(a, _ string) error { return unix.Chmod(a, uint32(v)&0o7777) })
	case 12:
		do("chown", func(a, _ string) error { return unix.Lchown(a, v%7, v%5) })
	case 13:
		do("set an attribute", func(a, _ string) error { return unix.Lsetxattr(a, "user.r"+b[len(b)-1:], []byte(b), v%3) })
	case 14:
		do("remove an attribute", func(a, _ string) error { return unix.Lremovexattr(a, "user.r"+b[len(b)-1:]) })
	case 15:
		do("set times", func(a, _ string) error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, a, []unix.Timespec{{Sec: int64(v)}, {Sec: int64(v) * 1000, Nsec: int64(v)}}, unix.AT_SYMLINK_NOFOLLOW)
		})
	}
}

// same compares all that is in both.
func (w *twins) same() {
	w.Helper()
	w.both("listing all", func(dir string) ([]byte, error) {
		var all []string
		err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
			if err != nil || p == dir {
				return err
			}
			line, err := describe(p)
			all = append(all, strings.TrimPrefix(p, dir)+" "+line)
			return err
		})
		slices.Sort(all)
		return []byte(strings.Join(all, "\n")), err
	})
}

// describe is what an entry is, but for times that the disk's clock sets, and sizes that are the disk's own.
func describe(p string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		return "", err
	}
	s := fmt.Sprintf("%o %d:%d %d", st.Mode, st.Uid, st.Gid, st.Nlink)
	if st.Mtim.Sec%1000 == 0 && st.Mtim.Nsec < 1<<20 && st.Mtim.Sec < 1<<30 {
		s += fmt.Sprintf(" %d.%d", st.Mtim.Sec, st.Mtim.Nsec)
	}
	var err error
	var body []byte
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		body, err = os.ReadFile(p)
	case unix.S_IFLNK:
		var to string
		to, err = os.Readlink(p)
		return s + " " + to, err
	}
	names := make([]byte, 4096)
	n, xerr := unix.Llistxattr(p, names)
	if err == nil {
		err = xerr
	}
	attrs := strings.Split(string(names[:max(n, 0)]), "\x00")
	slices.Sort(attrs)
	return fmt.Sprintf("%s %q %q", s, attrs, body), err
}
