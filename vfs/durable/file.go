package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Temporary files are named tempPrefix, 26 random letters and digits, tempSuffix: short enough beside a name of 255
// bytes, and not to be mistaken for anybody's own.
const (
	tempPrefix = ".looming-"
	tempSuffix = ".tmp"
	tempRandom = 26
)

// ErrUnfinished is returned by Commit after a write that failed or after Commit or Abort.
var ErrUnfinished = errors.New("the file is not whole and was not put in place")

// File is a new file that appears under its name only when it is whole and on the disk. Until Commit it lies beside
// its name under a temporary one; a process that dies leaves that behind, for CleanTemp.
type File struct {
	f      *os.File // nil after Commit or Abort
	path   string
	failed error // the first failed write; nothing but Abort helps then
}

// Create starts a file that will appear at path, readable by its owner alone until Chmod. The directory must exist.
// Always defer Abort: after Commit it does nothing.
func Create(path string) (*File, error) { return create(path, 0o600) }

func create(path string, perm fs.FileMode) (*File, error) {
	temp := filepath.Join(filepath.Dir(path), tempPrefix+rand.Text()[:tempRandom]+tempSuffix)
	var f *os.File
	err := do(Op{Name: OpCreate, Path: path}, func() (err error) {
		f, err = os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
		return err
	})
	if err != nil {
		if f != nil {
			err = errors.Join(err, f.Close(), os.Remove(temp))
		}
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	return &File{f: f, path: path}, nil
}

// Name returns the path under which the file will appear.
func (f *File) Name() string { return f.path }

// OS returns the open temporary file, for what File does not offer: extended attributes, owners, times. What is
// written through it is synced by Commit too, but its errors are the caller's to see.
func (f *File) OS() *os.File { return f.f }

// Write appends p at the current offset.
func (f *File) Write(p []byte) (int, error) {
	return f.change(func() (int, error) { return f.f.Write(p) })
}

// WriteAt writes p at an offset in bytes.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	return f.change(func() (int, error) { return f.f.WriteAt(p, off) })
}

// change runs one write; the first that fails is remembered, so that a caller who overlooks it cannot commit.
func (f *File) change(write func() (int, error)) (n int, err error) {
	if err := f.usable(); err != nil {
		return 0, err
	}
	err = do(Op{Name: OpWrite, Path: f.path}, func() (err error) {
		n, err = write()
		return err
	})
	if err != nil {
		f.failed = fmt.Errorf("write %s: %w", f.path, err)
		return n, f.failed
	}
	return n, nil
}

// ReadAt reads back what was written.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if f.f == nil {
		return 0, f.usable()
	}
	return f.f.ReadAt(p, off)
}

// Seek sets the offset of the next Write.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	if err := f.usable(); err != nil {
		return 0, err
	}
	return f.f.Seek(offset, whence)
}

// Truncate sets the size in bytes.
func (f *File) Truncate(size int64) error {
	_, err := f.change(func() (int, error) { return 0, f.f.Truncate(size) })
	return err
}

// Chmod sets the permissions that the file will have, exactly and without the umask.
func (f *File) Chmod(mode fs.FileMode) error {
	_, err := f.change(func() (int, error) { return 0, f.f.Chmod(mode) })
	return err
}

func (f *File) usable() error {
	if f.failed != nil {
		return f.failed
	}
	if f.f == nil {
		return fmt.Errorf("%s: %w", f.path, fs.ErrClosed)
	}
	return nil
}

// Commit puts the file in place, durably, over whatever had its name. When it fails the name holds what it held
// before and the temporary file is gone, with one exception: if only the sync of the directory failed, the new file
// is to be seen, the error wraps ErrSync, and a power cut may bring the old one back.
func (f *File) Commit() error { return f.commit(Rename) }

// CommitNew is Commit, but fails with fs.ErrExist if the name is taken.
func (f *File) CommitNew() error { return f.commit(RenameNoReplace) }

func (f *File) commit(rename func(from, to string) error) error {
	if err := f.usable(); err != nil {
		f.Abort()
		return fmt.Errorf("%w: %w", ErrUnfinished, err)
	}
	temp := f.f.Name()
	err := do(Op{Name: OpSync, Path: f.path}, f.f.Sync)
	if err != nil {
		f.Abort()
		return syncError("sync", f.path, err)
	}
	if err := f.close(); err != nil {
		return errors.Join(fmt.Errorf("close %s: %w", f.path, err), removeTemp(temp))
	}
	if err := rename(temp, f.path); err != nil {
		return errors.Join(fmt.Errorf("put %s in place: %w", f.path, err), removeTemp(temp))
	}
	return nil
}

func (f *File) close() error {
	err := f.f.Close()
	f.f = nil
	return err
}

// Abort drops the file and leaves its name alone. After Commit or Abort it does nothing. A temporary file that cannot
// be removed stays for CleanTemp.
func (f *File) Abort() {
	if f.f == nil {
		return
	}
	temp := f.f.Name()
	_ = f.close()
	_ = removeTemp(temp)
}

// removeTemp removes a temporary file that may have been renamed away already.
func removeTemp(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// WriteFile puts a file with the given bytes at path, durably. Before it returns, path holds the old content or the
// new; after it returned nil, the new content is there after a power cut. perm is what os.WriteFile takes, but applies
// to a file that existed as well. A symbolic link at path is replaced, not followed.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	f, err := create(path, perm)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Commit()
}

// IsTemp reports whether a file name is one of those that File uses until Commit.
func IsTemp(name string) bool {
	middle, ok := strings.CutPrefix(name, tempPrefix)
	if !ok {
		return false
	}
	middle, ok = strings.CutSuffix(middle, tempSuffix)
	return ok && len(middle) == tempRandom
}

// CleanTemp removes what writers that died have left in dir, and returns how many files. Call it where nobody else
// writes, such as at the start of the process that owns dir: it cannot tell a dead writer's file from a living one's.
func CleanTemp(dir string) (int, error) {
	d, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	removed := 0
	for {
		names, err := d.Readdirnames(1000)
		for _, name := range names {
			if !IsTemp(name) {
				continue
			}
			if err := removeTemp(filepath.Join(dir, name)); err != nil {
				return removed, err
			}
			removed++
		}
		if errors.Is(err, io.EOF) {
			return removed, nil
		}
		if err != nil {
			return removed, err
		}
	}
}
