package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Rename moves a file or directory to a new name, durably, replacing a file, or an empty directory on Linux, that
// was there. It syncs names, not content: sync what is inside first. If it fails with ErrSync the new name is to be
// seen, but a power cut may undo it.
func Rename(from, to string) error {
	if err := RenameLazy(from, to); err != nil {
		return err
	}
	return syncParents(to, from)
}

// RenameLazy is Rename without the sync of the directories: atomic, and durable whenever they are synced.
func RenameLazy(from, to string) error {
	return linkError("rename", from, to, do(Op{Name: OpRename, Path: from, To: to}, func() error { return replace(from, to) }))
}

// RenameNoReplace is Rename, but fails with fs.ErrExist if the new name is taken. On Linux file systems that lack it
// (NFS), a regular file is linked to its new name and then removed from the old, which a crash between the two leaves
// under both; anything else fails with errors.ErrUnsupported.
func RenameNoReplace(from, to string) error {
	err := do(Op{Name: OpRename, Path: from, To: to}, func() error { return noReplace(from, to) })
	if err != nil {
		return linkError("rename", from, to, err)
	}
	return syncParents(to, from)
}

// RenameExchange swaps two names, durably: there is no instant at which either is missing. Where the file system or
// the operating system cannot, it fails with errors.ErrUnsupported and nothing has changed.
func RenameExchange(a, b string) error {
	err := do(Op{Name: OpExchange, Path: a, To: b}, func() error { return exchange(a, b) })
	if err != nil {
		return linkError("exchange", a, b, err)
	}
	return syncParents(b, a)
}

// Remove removes a file or an empty directory, durably.
func Remove(path string) error {
	if err := do(Op{Name: OpRemove, Path: path}, func() error { return os.Remove(path) }); err != nil {
		return err
	}
	return syncParents(path)
}

// RemoveAll removes a tree, durably; a path that does not exist is no error. It is not atomic: a crash leaves a part.
// Where that matters, Rename the tree to a name that means "to be removed" first. Symbolic links are not followed.
func RemoveAll(path string) error {
	if err := do(Op{Name: OpRemove, Path: path}, func() error { return os.RemoveAll(path) }); err != nil {
		return err
	}
	return syncParents(path)
}

// MkdirAll makes a directory and those above it that are missing, durably. perm is cut by the umask. What exists
// already is synced too, as far as one level up, because whoever made it may have died before his sync.
func MkdirAll(path string, perm fs.FileMode) error {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: path, Err: errNotDir}
	case err == nil:
		if err := syncParents(path); !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil // in a directory that this process may not read it can have made nothing
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := MkdirAll(filepath.Dir(path), perm); err != nil {
		return err
	}
	err = do(Op{Name: OpMkdir, Path: path}, func() error { return os.Mkdir(path, perm) })
	if errors.Is(err, fs.ErrExist) {
		return MkdirAll(path, perm) // somebody was faster, or made it a file
	}
	if err != nil {
		return err
	}
	return syncParents(path)
}

// linkError names both ends, unless the error does so already.
func linkError(op, from, to string, err error) error {
	var le *os.LinkError
	if err == nil || errors.As(err, &le) {
		return err
	}
	return &os.LinkError{Op: op, Old: from, New: to, Err: err}
}
