package main

import (
	"log/slog"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/winfsp"
)

// mountAt shows a desktop at a directory or a drive letter.
func mountAt(f *vfs.FS, dir string, log *slog.Logger) (mounted, error) {
	return winfsp.New(f, dir, winfsp.Options{Log: log})
}
