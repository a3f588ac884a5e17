package vfstest

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/cvd"
)

// Check compares all that sys shows with the model.
func (w *World) Check(sys System) {
	w.Helper()
	names := map[string][]string{}
	for p := range w.Tree.Want {
		if p != "" {
			names[parent(p)] = append(names[parent(p)], path.Base(p))
		}
	}
	for _, p := range w.Tree.Paths() {
		if err := w.check(sys, p, names[p]); err != nil {
			w.Errorf("%s: %v", brief(p), err)
		}
		if w.T.Failed() && len(w.Tree.Want) > 1000 {
			return // one of very many is enough
		}
	}
}

// brief is a path short enough for people.
func brief(p string) string {
	if len(p) > 80 {
		p = p[:40] + "..." + p[len(p)-37:]
	}
	return fmt.Sprintf("%q", p)
}

func (w *World) check(sys System, p string, names []string) error {
	want := w.Tree.Want[p]
	a, err := sys.Lstat(p)
	if err != nil {
		return err
	}
	if err := w.checkAttr(want, &a); err != nil {
		return err
	}
	switch want.Type {
	case cvd.Dir:
		err = checkNames(sys, p, names)
	case cvd.Symlink:
		var target string
		if target, err = sys.Readlink(p); target != want.Target {
			err = fmt.Errorf("target %s, %w", brief(target), err)
		}
	case cvd.File:
		if !want.Skip {
			err = CheckBody(sys, p, want.Body)
		}
	}
	if err != nil || want.Type == cvd.Symlink {
		return err
	}
	return checkXattrs(sys, p, want)
}

func (w *World) checkAttr(want *Want, a *vfs.Attr) error {
	mode := want.Mode
	if want.Type == cvd.Symlink {
		mode = 0o777
	}
	mtime := want.Mtime
	if want.Touched {
		mtime = a.Mtime
	}
	size := a.Size
	if want.Type == cvd.File {
		size = uint64(len(want.Body))
		if want.Skip {
			size = want.Size
		}
	}
	nlink := a.Nlink
	// Until all directories are listed, names of it may be unknown; and as long as
	// there is a state directory, a file that had several names has two at least.
	if all := w.Tree.nlink(want); want.Group != 0 && (w.listed && all > 1 || w.native || a.Nlink > max(all, 2)) {
		nlink = all
	}
	exp := *a
	exp.Type, exp.Mode, exp.UID, exp.GID = want.Type, mode, want.UID, want.GID
	exp.Major, exp.Minor, exp.Mtime, exp.Size, exp.Nlink = want.Major, want.Minor, mtime, size, nlink
	if exp != *a {
		return fmt.Errorf("attributes\n got %+v\nwant %+v", *a, exp)
	}
	return nil
}

func checkNames(sys System, p string, want []string) error {
	got, err := sys.ReadDir(p)
	if err != nil {
		return err
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%d names, want %d; first that differs: %q", len(got), len(want), differs(got, want))
	}
	return nil
}

func differs(a, b []string) []string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return []string{a[i], b[i]}
		}
	}
	return append(a[min(len(a), len(b)):], b[min(len(a), len(b)):]...)
}

// CheckBody reads a file and compares it.
func CheckBody(sys System, p string, want []byte) error {
	f, err := sys.Open(p, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return checkOpen(f, want)
}

func checkOpen(f File, want []byte) error {
	buf := make([]byte, 256<<10)
	for at := 0; ; at += len(buf) {
		n, err := f.ReadAt(buf, int64(at))
		if err != nil {
			return fmt.Errorf("reading at %d: %w", at, err)
		}
		exp := want[min(at, len(want)):min(at+len(buf), len(want))]
		if !bytes.Equal(buf[:n], exp) {
			return fmt.Errorf("bytes at %d differ (%s)", at, firstDiff(buf[:n], exp, at))
		}
		if n < len(buf) {
			return nil
		}
	}
}

func firstDiff(got, want []byte, at int) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("at %d: %x, want %x", at+i, got[i:min(i+8, len(got))], want[i:min(i+8, len(want))])
		}
	}
	return fmt.Sprintf("%d bytes, want %d", len(got), len(want))
}

// checkXattrs compares the extended attributes of an entry.
func checkXattrs(sys System, p string, want *Want) error {
	got, err := sys.Listxattr(p)
	if err != nil {
		return fmt.Errorf("listxattr: %w", err)
	}
	exp := map[string][]byte{}
	for _, x := range want.Xattrs {
		exp[x.Name] = x.Value
	}
	slices.Sort(got)
	if names := slices.Sorted(maps.Keys(exp)); !slices.Equal(got, names) {
		return fmt.Errorf("extended attributes %q, want %q", got, names)
	}
	for _, name := range got {
		value, err := sys.Getxattr(p, name)
		if err != nil || !bytes.Equal(value, exp[name]) {
			return fmt.Errorf("extended attribute %s: %x, %v, want %x", name, value, err, exp[name])
		}
	}
	return nil
}

// acl encodes a POSIX ACL as the kernel's extended attribute does: tag, permissions, id.
func acl(entries ...[3]uint32) []byte {
	b := []byte{2, 0, 0, 0}
	for _, e := range entries {
		b = append(b, byte(e[0]), byte(e[0]>>8), byte(e[1]), byte(e[1]>>8), byte(e[2]), byte(e[2]>>8), byte(e[2]>>16), byte(e[2]>>24))
	}
	return b
}

// Tags of ACL entries.
const (
	aclUserObj, aclUser, aclGroupObj, aclMask, aclOther = 0x01, 0x02, 0x04, 0x10, 0x20

	nobodyID = 0xffffffff
)

// capability is cap_net_raw+ep, as setcap writes it.
var capability = []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// long is a name or target of n bytes.
func long(n int) string { return strings.Repeat("abcdefghi-", n/10+1)[:n] }

// device numbers that fill all their bits.
const (
	bigMajor, bigMinor = 0xabc, 0x1def0
)
