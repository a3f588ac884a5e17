// Package compare says in what two directory trees differ, in everything that
// a snapshot keeps: names, types, modes, owners, times, links, device numbers,
// extended attributes with ACLs and capabilities, hard links, and every byte.
//
// It goes by directory descriptors, so unlike rsync and diff it sees what lies
// deeper than a path can say. It reads files whatever their times are.
package compare

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Options leaves things out. The zero value compares everything.
type Options struct {
	// Skip leaves out an entry and what is beneath it, by its path from the top.
	Skip func(path string) bool
	// Holes also wants a file to take up no more of the disk than the same
	// file of the first tree, but for a tenth and 64 KiB.
	Holes bool
	// Most is how many differences are listed; 0 is 100.
	Most int
}

// Trees gives the differences of got from want, a line each with the path and
// both values. None means that the trees are the same.
func Trees(ctx context.Context, want, got string, o Options) ([]string, error) {
	if o.Most == 0 {
		o.Most = 100
	}
	c := &comparison{Options: o, ctx: ctx, groups: map[inode]string{}, back: map[inode]string{}}
	a, err := os.Open(want)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	b, err := os.Open(got)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	c.attributes("", a, b)
	err = c.directory("", a, b)
	return c.found, err
}

type inode struct{ dev, ino uint64 }

type comparison struct {
	Options
	ctx   context.Context
	found []string
	// the first path at which an inode of each tree was seen
	groups, back map[inode]string
}

func (c *comparison) differ(path, what string, want, got any) {
	if len(c.found) < c.Most {
		c.found = append(c.found, fmt.Sprintf("%q: %s is %v, must be %v", path, what, got, want))
	}
}

// directory compares the entries of two open directories.
func (c *comparison) directory(path string, a, b *os.File) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	wants, err := a.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list %q of the first tree: %w", path, err)
	}
	gots, err := b.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list %q of the second tree: %w", path, err)
	}
	slices.Sort(wants)
	slices.Sort(gots)
	for _, name := range gots {
		if _, there := slices.BinarySearch(wants, name); !there && !c.skip(path, name) {
			c.differ(join(path, name), "the entry", "absent", "there")
		}
	}
	for _, name := range wants {
		if c.skip(path, name) {
			continue
		}
		if _, there := slices.BinarySearch(gots, name); !there {
			c.differ(join(path, name), "the entry", "there", "absent")
			continue
		}
		if err := c.entry(join(path, name), name, a, b); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) skip(path, name string) bool {
	return c.Skip != nil && c.Skip(join(path, name))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}

// entry compares what is at one name in two open directories.
func (c *comparison) entry(path, name string, a, b *os.File) error {
	var want, got unix.Stat_t
	if err := unix.Fstatat(int(a.Fd()), name, &want, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("look at %q of the first tree: %w", path, err)
	}
	if err := unix.Fstatat(int(b.Fd()), name, &got, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("look at %q of the second tree: %w", path, err)
	}
	if want.Mode&unix.S_IFMT != got.Mode&unix.S_IFMT {
		c.differ(path, "the type", kind(want), kind(got))
		return nil
	}
	c.stat(path, &want, &got)
	if first := c.linked(path, &want, &got); !first {
		return nil
	}
	switch want.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
		return c.open(path, name, a, b, want.Mode&unix.S_IFMT == unix.S_IFDIR)
	case unix.S_IFLNK:
		if err := c.target(path, name, a, b); err != nil {
			return err
		}
	}
	// what cannot be opened without doing something is reached by its name
	c.pathAttributes(path, name, a, b)
	return nil
}

func kind(st unix.Stat_t) string {
	names := map[uint32]string{
		unix.S_IFREG: "file", unix.S_IFDIR: "directory", unix.S_IFLNK: "symlink", unix.S_IFIFO: "fifo",
		unix.S_IFSOCK: "socket", unix.S_IFCHR: "character device", unix.S_IFBLK: "block device",
	}
	return names[st.Mode&unix.S_IFMT]
}

func (c *comparison) stat(path string, want, got *unix.Stat_t) {
	differ := func(what, format string, want, got any) {
		if want != got {
			c.differ(path, what, fmt.Sprintf(format, want), fmt.Sprintf(format, got))
		}
	}
	differ("the mode", "%#o", want.Mode&0o7777, got.Mode&0o7777)
	differ("the owner", "%d", want.Uid, got.Uid)
	differ("the group", "%d", want.Gid, got.Gid)
	differ("the mtime", "%v", want.Mtim, got.Mtim)
	differ("the device", "%#x", want.Rdev, got.Rdev)
	if want.Mode&unix.S_IFMT == unix.S_IFDIR {
		return
	}
	differ("the size", "%d", want.Size, got.Size)
	differ("the number of links", "%d", want.Nlink, got.Nlink)
	if c.Holes && got.Blocks > want.Blocks+want.Blocks/10+128 {
		c.differ(path, "the room on the disk", fmt.Sprintf("at most %d KiB and a tenth", want.Blocks/2), fmt.Sprintf("%d KiB", got.Blocks/2))
	}
}

// linked compares hard links: the names of one file of a tree must be the names
// of one file of the other. It says whether this is the first name.
func (c *comparison) linked(path string, want, got *unix.Stat_t) bool {
	if want.Mode&unix.S_IFMT == unix.S_IFDIR || want.Nlink < 2 && got.Nlink < 2 {
		return true
	}
	a, b := inode{want.Dev, want.Ino}, inode{got.Dev, got.Ino}
	was, seen := c.groups[a]
	is, again := c.back[b]
	if !seen {
		c.groups[a] = path
	}
	if !again {
		c.back[b] = path
	}
	if was != is {
		c.differ(path, "the same file as", fmt.Sprintf("%q", was), fmt.Sprintf("%q", is))
	}
	return !seen
}

func (c *comparison) target(path, name string, a, b *os.File) error {
	var targets [2]string
	for i, dir := range []*os.File{a, b} {
		buf := make([]byte, 8192)
		n, err := unix.Readlinkat(int(dir.Fd()), name, buf)
		if err != nil {
			return fmt.Errorf("read the link %q: %w", path, err)
		}
		targets[i] = string(buf[:n])
	}
	if targets[0] != targets[1] {
		c.differ(path, "the target", fmt.Sprintf("%q", targets[0]), fmt.Sprintf("%q", targets[1]))
	}
	return nil
}

// open compares files or directories by what is in them.
func (c *comparison) open(path, name string, a, b *os.File, isDir bool) error {
	flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	var opened [2]*os.File
	for i, dir := range []*os.File{a, b} {
		fd, err := unix.Openat(int(dir.Fd()), name, flags, 0)
		if err != nil {
			return fmt.Errorf("open %q in tree %d: %w", path, i+1, err)
		}
		opened[i] = os.NewFile(uintptr(fd), name)
		defer opened[i].Close()
	}
	c.attributes(path, opened[0], opened[1])
	if isDir {
		return c.directory(path, opened[0], opened[1])
	}
	return c.content(path, opened[0], opened[1])
}

func (c *comparison) content(path string, a, b io.Reader) error {
	x, y := make([]byte, 256<<10), make([]byte, 256<<10)
	for at := 0; ; at += len(x) {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n, err := readFull(a, x)
		if err != nil {
			return fmt.Errorf("read %q of the first tree: %w", path, err)
		}
		k, err := readFull(b, y)
		if err != nil {
			return fmt.Errorf("read %q of the second tree: %w", path, err)
		}
		if !bytes.Equal(x[:n], y[:k]) {
			c.differ(path, "the content", "the same", fmt.Sprintf("another, within 256 KiB from %d", at))
			return nil
		}
		if n < len(x) {
			return nil
		}
	}
}

func readFull(r io.Reader, b []byte) (int, error) {
	n, err := io.ReadFull(r, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

// Attributes gives the extended attributes of one thing, by name.
type attributes map[string]string

func (c *comparison) attributes(path string, a, b *os.File) {
	c.sameAttributes(path, read(
		func(to []byte) (int, error) { return unix.Flistxattr(int(a.Fd()), to) },
		func(key string, to []byte) (int, error) { return unix.Fgetxattr(int(a.Fd()), key, to) },
	), read(
		func(to []byte) (int, error) { return unix.Flistxattr(int(b.Fd()), to) },
		func(key string, to []byte) (int, error) { return unix.Fgetxattr(int(b.Fd()), key, to) },
	))
}

// pathAttributes compares those of what is not opened, by way of /proc.
func (c *comparison) pathAttributes(path, name string, a, b *os.File) {
	at := func(dir *os.File) attributes {
		full := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
		return read(
			func(to []byte) (int, error) { return unix.Llistxattr(full, to) },
			func(key string, to []byte) (int, error) { return unix.Lgetxattr(full, key, to) },
		)
	}
	c.sameAttributes(path, at(a), at(b))
}

// read gives all attributes, and an error in the place of a value.
func read(list func([]byte) (int, error), get func(string, []byte) (int, error)) attributes {
	buf := make([]byte, 64<<10)
	n, err := list(buf)
	if err != nil {
		return attributes{"": err.Error()}
	}
	all := attributes{}
	value := make([]byte, 64<<10)
	for key := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if key == "" {
			continue
		}
		n, err := get(key, value)
		if err != nil {
			all[key] = err.Error()
			continue
		}
		all[key] = string(value[:n])
	}
	return all
}

func (c *comparison) sameAttributes(path string, want, got attributes) {
	for key, value := range want {
		if is, there := got[key]; !there || is != value {
			c.differ(path, "attribute "+key, fmt.Sprintf("%q", value), fmt.Sprintf("%q", is))
		}
	}
	for key := range got {
		if _, there := want[key]; !there {
			c.differ(path, "attribute "+key, "absent", "there")
		}
	}
}
