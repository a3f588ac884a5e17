package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrSync says that the disk did not confirm a sync. It is final: see the package comment.
var ErrSync = errors.New("what was written since the last good sync may be lost, and syncing again would not tell; " +
	"check the disk, then write it anew")

// syncError names what was synced, and keeps the system's error beside ErrSync.
func syncError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &fs.PathError{Op: op, Path: path, Err: fmt.Errorf("%w: %w", err, ErrSync)}
}

// SyncFile returns when the bytes and attributes of f are on the disk. For a file that is new, its name needs
// SyncDir as well.
func SyncFile(f *os.File) error {
	return syncError("sync", f.Name(), do(Op{Name: OpSync, Path: f.Name()}, f.Sync))
}

// SyncData is SyncFile without the attributes that nobody needs to read the bytes back, such as the time of the
// last change. It is cheaper for a file that is written in place.
func SyncData(f *os.File) error {
	return syncError("sync", f.Name(), do(Op{Name: OpSync, Path: f.Name()}, func() error { return syncData(f) }))
}

// SyncDir returns when the names in the directory at path are on the disk. On a file system that has no sync of
// directories (some network file systems; there names are durable on the server) it does nothing.
func SyncDir(path string) error {
	return syncError("sync directory", path, do(Op{Name: OpSyncDir, Path: path}, func() error { return syncDir(path) }))
}

// syncParents syncs the directories that hold the given paths, each once.
func syncParents(paths ...string) error {
	done := make(map[string]bool, len(paths))
	for _, p := range paths {
		dir := filepath.Dir(p)
		if done[dir] {
			continue
		}
		done[dir] = true
		if err := SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// FS is a handle on a file system, for syncing all of it with one call. Open it before the first write of a batch:
// the kernel tells a handle of the write errors that came after it was opened, and of older ones only if nobody has
// been told yet.
type FS struct {
	dir *os.File
}

// OpenFS returns a handle on the file system that holds path.
func OpenFS(path string) (*FS, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &FS{dir: f}, nil
}

// Sync returns when everything written to the file system before the call is on the disk: bytes, attributes, names.
// On Windows it flushes the volume and needs an administrator's rights.
func (s *FS) Sync() error {
	path := s.dir.Name()
	return syncError("sync file system of", path, do(Op{Name: OpSyncFS, Path: path}, func() error { return syncFS(s.dir) }))
}

// Close releases the handle.
func (s *FS) Close() error { return s.dir.Close() }

// SyncFS is OpenFS, Sync and Close in one. It misses a write error that came before the call and that another
// process has been told of already; a writer of many files keeps an FS open instead.
func SyncFS(path string) error {
	s, err := OpenFS(path)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Sync()
}
