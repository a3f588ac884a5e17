package scan

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sys/windows"
)

// The types of files, as in a Unix mode.
const (
	typeMask    = 0o170000
	typeFile    = 0o100000
	typeDir     = 0o040000
	typeSymlink = 0o120000
)

// dir is a directory, by its path.
type dir struct{ path string }

// file is an open regular file.
type file struct{ f *os.File }

func openRoot(path string) (dir, error) {
	_, err := os.ReadDir(path)
	return dir{path}, err
}

func (d dir) at(name string) string { return filepath.Join(d.path, name) }

func (d dir) open(name string) (dir, error) { return dir{d.at(name)}, nil }

func (d dir) close() {}

func (d dir) stat(name string, st *stat) error {
	info, err := os.Lstat(d.at(name))
	if err == nil {
		st.from(info)
	}
	return err
}

func (d dir) self(st *stat) error { return d.stat("", st) }

// above is the directory that holds d.
func (d dir) above(st *stat) error { return dir{filepath.Dir(d.path)}.self(st) }

func (st *stat) from(info fs.FileInfo) {
	*st = stat{
		Size: uint64(info.Size()), Mode: uint32(info.Mode().Perm()), Nlink: 1,
		Mtime: cvd.TimeOf(info.ModTime()), Ctime: cvd.TimeOf(info.ModTime()),
	}
	st.blocks = st.Size/512 + 1
	switch m := info.Mode(); {
	case m.IsRegular():
		st.Mode |= typeFile
	case m.IsDir():
		st.Mode |= typeDir
		st.Size = 0
	case m&fs.ModeSymlink != 0:
		st.Mode |= typeSymlink
	}
	if d, ok := info.Sys().(*syscall.Win32FileAttributeData); ok {
		st.Rdev = uint64(d.FileAttributes)
		st.created = uint64(d.CreationTime.HighDateTime)<<32 | uint64(d.CreationTime.LowDateTime)
	}
}

// kind is what cvd calls the file's type, 0 if nothing.
func (st *stat) kind() cvd.Type {
	switch st.Mode & typeMask {
	case typeFile:
		return cvd.File
	case typeDir:
		return cvd.Dir
	case typeSymlink:
		return cvd.Symlink
	}
	return 0
}

func (*stat) device() (major, minor uint32) { return 0, 0 }

func (st *stat) windows() *cvd.Windows {
	if st.Rdev == 0 && st.created == 0 {
		return nil
	}
	return &cvd.Windows{Attributes: uint32(st.Rdev), Created: st.created}
}

// names calls each for every entry, in no order.
func (d dir) names(_ []byte, each func(name []byte, ino uint64)) error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(1024)
		for _, n := range names {
			each([]byte(n), 0)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (d dir) readlink(name string) (string, error) { return os.Readlink(d.at(name)) }

func (d dir) file(name string) (file, error) {
	f, err := os.Open(d.at(name))
	return file{f}, err
}

func (f file) close() { _ = f.f.Close() }

func (f file) stat(st *stat) error {
	info, err := f.f.Stat()
	if err == nil {
		st.from(info)
	}
	return err
}

func (file) sequential() {}

func (file) settle() error { return nil }

// readAt fills b as far as the file goes.
func (f file) readAt(b []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// data: all is data.
func (file) data(off, size int64) (from, to int64) { return off, size }

func (file) xattrs() ([]cvd.Xattr, error)      { return nil, nil }
func (dir) selfXattrs() ([]cvd.Xattr, error)   { return nil, nil }
func (dir) xattrs(string) ([]cvd.Xattr, error) { return nil, nil }
func (dir) kernels() bool                      { return false }
func vanished(err error) bool                  { return errors.Is(err, fs.ErrNotExist) }
func ready() error                             { return nil }

// lock takes f for this process, until it is closed; it fails at once if another has it.
func lock(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{})
}
