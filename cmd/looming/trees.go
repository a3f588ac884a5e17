package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/durable"
)

// trees is the folder of the state directory that lists trees of this machine that
// were desktops: what was snapshot, and what was streamed until it was native. They
// are what a desktop that comes here is likely to have in common with this disk.
type trees string

// knownTree is one of them.
type knownTree struct {
	Path string `json:"path"`
	// CVD is the desktop as which it was last snapshot, or from which it came.
	CVD string `json:"cvd"`

	at time.Time
	// target is where it is shown, if it is what lies beneath a mount.
	target string
}

// treesMax is how many are looked at without being named: each takes a scan.
const treesMax = 4

func (a *app) trees() trees { return trees(filepath.Join(a.dir, "trees")) }

// add remembers a tree. That it could not is no harm but to what comes later.
func (s trees) add(path, cvd string) {
	path, err := filepath.Abs(path)
	var b []byte
	if err == nil {
		b, err = json.Marshal(knownTree{Path: path, CVD: cvd})
	}
	if err == nil {
		err = durable.MkdirAll(string(s), 0o700)
	}
	if err == nil {
		id := chunk.Sum([]byte(path)).String()
		err = durable.WriteFile(filepath.Join(string(s), id[:16]), b, 0o600)
	}
	if err != nil {
		slog.Warn("not remembered as a tree whose files can be used again", "path", path, "err", err)
	}
}

// all are the trees that are still there, the latest first.
func (s trees) all() ([]knownTree, error) {
	files, err := os.ReadDir(string(s))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []knownTree
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(string(s), f.Name()))
		if err != nil {
			return nil, err
		}
		var k knownTree
		if json.Unmarshal(b, &k) != nil {
			continue // a tree that is forgotten costs fetches
		}
		info, err := f.Info()
		if err != nil || !isDir(k.Path) {
			continue
		}
		k.at = info.ModTime()
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b knownTree) int { return b.at.Compare(a.at) })
	return all, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
