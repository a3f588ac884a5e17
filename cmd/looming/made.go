package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/looming-project/looming/pivot"
	"github.com/looming-project/looming/vfs/durable"
)

// nativeDir is the folder of the state directory that remembers which targets became native: nothing beside such a
// target tells it from any other directory. It has a file for each, with the status in which its stream ended.
const nativeDir = "native"

func (s shown) nativeFile(work string) string {
	return filepath.Join(filepath.Dir(string(s)), nativeDir, filepath.Base(s.file(work)))
}

// native notes that a stream has ended well. The target is native all the same if that fails.
func (s shown) native(l pivot.Layout, st status) {
	s.remove(l.Work)
	b, err := json.Marshal(st)
	file := s.nativeFile(l.Work)
	if err == nil {
		err = durable.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err == nil {
		err = durable.WriteFile(file, append(b, '\n'), 0o600)
	}
	if err != nil {
		slog.Warn("it will not be known later that a target is native", "target", l.Target, "err", err)
	}
}

// wasMade is the status of a target that became native and is still there.
func (s shown) wasMade(work string) (st status, ok bool) {
	b, err := os.ReadFile(s.nativeFile(work))
	if err != nil || json.Unmarshal(b, &st) != nil {
		return st, false
	}
	info, err := os.Lstat(st.Target)
	return st, err == nil && info.IsDir()
}
