package main

import (
	"log/slog"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/fuse"
)

// mountAt shows a desktop at a directory.
func mountAt(f *vfs.FS, dir string, log *slog.Logger) (mounted, error) {
	return fuse.New(f, dir, fuse.Options{Log: log})
}
