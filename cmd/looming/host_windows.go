package main

import (
	"log/slog"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/winfsp"
)

// mountAt shows a desktop at a directory or a drive letter.
func mountAt(f *vfs.FS, dir string, noHydrate []string, log *slog.Logger) (mounted, error) {
	if len(noHydrate) > 0 {
		return nil, invalid("--no-hydrate: programs cannot be told apart on Windows yet")
	}
	return winfsp.New(f, dir, winfsp.Options{Log: log})
}
