package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/zeebo/blake3"

	"github.com/looming-project/looming/vfs/chunk"
)

// corpus is the files of all trees, equal ones once, in the order in which they
// would be stored.
type corpus struct {
	trees []string
	files []file
	// ids and classes of all paths, for what needs the tree again.
	ids map[string]chunk.ID
}

type file struct {
	path  string
	size  int64
	tree  int
	class string
	id    chunk.ID
}

func collect(trees []string, sample int, only string) (*corpus, error) {
	c := &corpus{trees: trees, ids: map[string]chunk.ID{}}
	seen := map[chunk.ID]bool{}
	for n, tree := range trees {
		err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			f, err := identify(path)
			if errors.Is(err, fs.ErrPermission) {
				return nil
			}
			if err != nil {
				return err
			}
			c.ids[path] = f.id
			if f.tree = n; f.size > 0 && !seen[f.id] && wanted(f, sample, only) {
				seen[f.id] = true
				c.files = append(c.files, f)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

func wanted(f file, sample int, only string) bool {
	return int(f.id[0])%sample == 0 && (only == "" || f.class == only)
}

var buffer = make([]byte, 1<<20)

func identify(path string) (file, error) {
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOATIME, 0)
	if err != nil {
		return file{}, err
	}
	defer r.Close()
	head, err := io.ReadFull(r, buffer)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return file{}, err
	}
	f := file{path: path, class: classOf(path, buffer[:head])}
	h := blake3.New()
	_, _ = h.Write(buffer[:head]) // never fails
	rest, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, buffer)
	f.size = int64(head) + rest
	h.Sum(f.id[:0])
	return f, err
}
