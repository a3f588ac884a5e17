package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// directory is a directory read into memory, small files with it.
type directory struct {
	path  string
	items []item
}

type item struct {
	entry cvd.Entry
	dir   *directory
	small []byte
}

func readTree(c *corpus, path string) (*directory, error) {
	names, err := os.ReadDir(path) // sorted by bytes
	if err != nil {
		return nil, err
	}
	d := &directory{path: path, items: make([]item, len(names))}
	for i, n := range names {
		if err := d.items[i].read(c, filepath.Join(path, n.Name())); err != nil {
			return nil, err
		}
	}
	return d, nil
}

var types = map[uint32]cvd.Type{
	unix.S_IFREG: cvd.File, unix.S_IFDIR: cvd.Dir, unix.S_IFLNK: cvd.Symlink, unix.S_IFCHR: cvd.CharDevice,
	unix.S_IFBLK: cvd.BlockDevice, unix.S_IFIFO: cvd.Fifo, unix.S_IFSOCK: cvd.Socket,
}

func (it *item) read(c *corpus, path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	e := &it.entry
	*e = cvd.Entry{
		Name: filepath.Base(path), Type: types[st.Mode&unix.S_IFMT], Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		Mtime: cvd.Time{Sec: st.Mtim.Sec, Nsec: uint32(st.Mtim.Nsec)}, Xattrs: xattrs(path),
	}
	var err error
	switch e.Type {
	case cvd.Dir:
		it.dir, err = readTree(c, path)
	case cvd.Symlink:
		e.Target, err = os.Readlink(path)
	case cvd.CharDevice, cvd.BlockDevice:
		e.Major, e.Minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
	case cvd.File:
		e.Size, e.Sparse = uint64(st.Size), st.Blocks*512 < st.Size
		if e.Content.ID = c.ids[path]; st.Nlink > 1 {
			e.Group = st.Ino // as long as a real group
		}
		if st.Size <= smallMax {
			it.small, err = os.ReadFile(path)
		}
		if st.Size > chunk.WholeMax {
			err = it.refs(path)
		}
	}
	return err
}

// refs fills in the chunks of a large file; list chunks are as good as counted by them.
func (it *item) refs(path string) error {
	var refs []cvd.Ref
	err := split(file{path: path}, func(plain []byte) {
		refs = append(refs, cvd.Ref{ID: chunk.Sum(plain), Size: uint64(len(plain))})
	})
	it.entry.Content, _ = cvd.ListContent(it.entry.Content.ID, refs, func(plain []byte) (chunk.ID, error) {
		return chunk.Sum(plain), nil
	})
	return err
}

func xattrs(path string) (xs []cvd.Xattr) {
	list := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, list)
	if err != nil || n == 0 {
		return nil
	}
	for _, name := range strings.Split(strings.TrimRight(string(list[:n]), "\x00"), "\x00") {
		value := make([]byte, 64<<10)
		if n, err := unix.Lgetxattr(path, name, value); err == nil {
			xs = append(xs, cvd.Xattr{Name: name, Value: bytes.Clone(value[:n])})
		}
	}
	slices.SortFunc(xs, func(a, b cvd.Xattr) int { return strings.Compare(a.Name, b.Name) })
	return xs
}

// storer stores a tree with cvd's own builder.
type storer struct {
	put func(what string, plain []byte) (chunk.ID, error)
	c   *corpus
}

func (s *storer) dir(d *directory) (chunk.ID, cvd.Sums, error) {
	b := cvd.NewBuilder(func(plain []byte) (chunk.ID, error) { return s.put("nodes", plain) })
	for i := range d.items {
		it := &d.items[i]
		var err error
		switch it.entry.Type {
		case cvd.Dir:
			it.entry.Tree, it.entry.Sums, err = s.dir(it.dir)
		case cvd.File:
			err = s.file(filepath.Join(d.path, it.entry.Name), it)
		}
		if err != nil {
			return chunk.ID{}, cvd.Sums{}, err
		}
		if err := b.Add(&it.entry); err != nil {
			return chunk.ID{}, cvd.Sums{}, err
		}
	}
	return b.Finish()
}

func (s *storer) file(path string, it *item) error {
	e := &it.entry
	if e.Size <= cvd.InlineMax {
		e.Content = cvd.Content{Inline: it.small}
		return nil
	}
	var refs []cvd.Ref
	var failed error
	err := split(file{path: path}, func(plain []byte) {
		id, err := s.put("data", plain)
		if err != nil {
			failed = err
		}
		refs = append(refs, cvd.Ref{ID: id, Size: uint64(len(plain))})
	})
	if err != nil || failed != nil || e.Size <= chunk.WholeMax {
		return errors.Join(err, failed)
	}
	e.Content, err = cvd.ListContent(e.Content.ID, refs, func(plain []byte) (chunk.ID, error) {
		return s.put("lists", plain)
	})
	return err
}
