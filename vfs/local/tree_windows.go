package local

import (
	"fmt"
	"os"
	"path/filepath"
)

// tree is the directory whose files are read.
type tree struct{ root *os.Root }

func openTree(path string) (*tree, error) {
	root, err := os.OpenRoot(path)
	return &tree{root}, err
}

func (t *tree) close() { _ = t.root.Close() }

// open opens a regular file by its path below the tree, and follows nothing out of it.
func (t *tree) open(path string) (*os.File, error) {
	path = filepath.FromSlash(path)
	info, err := t.root.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is no regular file", path)
	}
	return t.root.Open(path)
}
