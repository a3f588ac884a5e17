package main

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/looming-project/looming/prefetch"
)

// disk is the desktop as the planner sees it: names and sizes, of which those in
// directories that were not listed yet cost something.
type disk struct {
	dirs   map[string][]prefetch.Item
	files  map[string]uint64
	listed map[string]bool
	// What was listed since this was read last: directories, and requests that had to be made one after another.
	fresh []string
	trips int
}

// entryBytes is what one entry of a directory takes on the line.
const entryBytes = 60

func readDisk(root string) (*disk, error) {
	d := &disk{dirs: map[string][]prefetch.Item{}, files: map[string]uint64{}}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		path = path[len(root)+1:]
		it := prefetch.Item{Path: path, Dir: e.IsDir()}
		if e.Type().IsRegular() {
			info, err := e.Info()
			if err != nil {
				return err
			}
			it.Size = uint64(info.Size())
			d.files[path] = it.Size
		}
		if it.Dir || e.Type().IsRegular() {
			d.dirs[parent(path)] = append(d.dirs[parent(path)], it)
		}
		return nil
	})
	return d, err
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}

// forget makes all directories unlisted.
func (d *disk) forget() { d.listed, d.fresh, d.trips = map[string]bool{}, nil, 0 }

// cost is what a directory's names take on the line.
func (d *disk) cost(dir string) uint64 { return uint64(len(d.dirs[dir])+1) * entryBytes }

// list lists directories and all on the way to them: a round trip for each depth at which one lacks.
func (d *disk) list(dirs []string) {
	deep := map[int]bool{}
	for _, dir := range dirs {
		for at := dir; !d.listed[at]; at = parent(at) {
			d.listed[at] = true
			d.fresh = append(d.fresh, at)
			deep[strings.Count(at, "/")] = true
			if at == "" {
				break
			}
		}
	}
	d.trips += len(deep)
}

// List implements prefetch.Tree.
func (d *disk) List(_ context.Context, dir, _ string) ([]prefetch.Item, bool, error) {
	d.list([]string{dir})
	return append([]prefetch.Item{}, d.dirs[dir]...), false, nil
}

// Lookup implements prefetch.Tree.
func (d *disk) Lookup(_ context.Context, paths []string) ([]prefetch.Item, error) {
	items := make([]prefetch.Item, len(paths))
	var dirs []string
	for i, p := range paths {
		dirs = append(dirs, parent(p))
		if size, ok := d.files[p]; ok {
			items[i] = prefetch.Item{Path: p, Size: size}
		} else if _, ok := d.dirs[p]; ok {
			dirs = append(dirs, p)
		}
	}
	d.list(dirs)
	return items, nil
}
