package backing

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
	"golang.org/x/sys/windows"
)

// Dir is an open directory. Names are single components, "" is the directory
// itself. Entries are opened relative to the handle, so that no depth is too
// deep and no reparse point is followed.
type Dir struct{ h windows.Handle }

// OpenDir opens the directory at a path of the surrounding file system.
func OpenDir(path string) (*Dir, error) {
	abs, err := syscall.FullPath(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open directory", Path: path, Err: err}
	}
	p, err := windows.UTF16PtrFromString(longPath(abs))
	if err != nil {
		return nil, &fs.PathError{Op: "open directory", Path: path, Err: err}
	}
	h, err := windows.CreateFile(p, forDir, shareAll, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open directory", Path: path, Err: err}
	}
	return &Dir{h}, nil
}

// Close closes the directory.
func (d *Dir) Close() error { return windows.CloseHandle(d.h) }

// Open opens a directory in d.
func (d *Dir) Open(name string) (*Dir, error) {
	h, err := ntOpen(d.h, name, forDir, 0, windows.FILE_OPEN, windows.FILE_DIRECTORY_FILE)
	if err != nil {
		return nil, &fs.PathError{Op: "open directory", Path: name, Err: err}
	}
	return &Dir{h}, nil
}

// Reopen opens d once more, with a position of its own.
func (d *Dir) Reopen() (*Dir, error) { return d.Open("") }

// Stat says what d holds under name, without following a reparse point; "" is d itself.
func (d *Dir) Stat(name string) (a Attr, err error) {
	if name == "" {
		return statHandle(d.h)
	}
	err = with(d.h, name, forAttr, func(h windows.Handle) error {
		a, err = statHandle(h)
		return err
	})
	return a, err
}

// Mkdir makes a directory.
func (d *Dir) Mkdir(name string, mode uint32) error {
	h, err := ntOpen(d.h, name, forAttr, attributesFor(mode)|windows.FILE_ATTRIBUTE_DIRECTORY, windows.FILE_CREATE, windows.FILE_DIRECTORY_FILE)
	if err != nil {
		return err
	}
	return windows.CloseHandle(h)
}

// Mknod makes a file; devices, fifos and sockets Windows does not have.
func (d *Dir) Mknod(name string, t cvd.Type, mode, _, _ uint32) error {
	if t != cvd.File {
		return fmt.Errorf("a %s on Windows: %w", t, errors.ErrUnsupported)
	}
	f, err := d.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, mode)
	if err != nil {
		return err
	}
	return f.Close()
}

// Symlink makes a symlink to target, for which Windows asks a privilege or its developer mode.
func (d *Dir) Symlink(target, name string) error {
	return d.byPath(name, func(p string) error { return os.Symlink(target, p) })
}

// Readlink returns where a symlink points to.
func (d *Dir) Readlink(name string) (target string, err error) {
	err = d.byPath(name, func(p string) error {
		target, err = os.Readlink(p)
		return err
	})
	return target, err
}

// byPath is for the calls that know no directory handles.
func (d *Dir) byPath(name string, call func(path string) error) error {
	p, err := pathOf(d.h)
	if err != nil {
		return err
	}
	if name != "" {
		p += `\` + name
	}
	return call(p)
}

// Link gives the entry another name in to.
func (d *Dir) Link(name string, to *Dir, toName string) error {
	return d.byPath(name, func(p string) error {
		return to.byPath(toName, func(q string) error { return os.Link(p, q) })
	})
}

// Unlink removes an entry that is not a directory.
func (d *Dir) Unlink(name string) error { return d.remove(name, windows.FILE_NON_DIRECTORY_FILE) }

// Rmdir removes an empty directory.
func (d *Dir) Rmdir(name string) error { return d.remove(name, windows.FILE_DIRECTORY_FILE) }

func (d *Dir) remove(name string, kind uint32) error {
	h, err := ntOpen(d.h, name, windows.DELETE|forAttr, 0, windows.FILE_OPEN, kind)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	return unlinkHandle(h)
}

// Flags of Rename, as renameat2 has them.
const (
	renameNoReplace = 1
	renameExchange  = 2
)

// Rename moves an entry on behalf of a user. Windows cannot exchange two.
func (d *Dir) Rename(name string, to *Dir, toName string, flags uint32) error {
	return d.byPath(name, func(p string) error {
		return to.byPath(toName, func(q string) error {
			switch flags {
			case 0:
				return durable.RenameLazy(p, q)
			case renameNoReplace:
				return durable.RenameNoReplace(p, q)
			case renameExchange:
				return durable.RenameExchange(p, q)
			}
			return syscall.EINVAL
		})
	})
}

// Chmod sets what Windows has of the permission bits: whether somebody may write.
func (d *Dir) Chmod(name string, mode uint32) error {
	return with(d.h, name, forTimes, func(h windows.Handle) error { return chmodHandle(h, mode) })
}

// Chown does nothing: a security descriptor, not a number, says who owns an entry.
func (d *Dir) Chown(string, int, int) error { return nil }

// SetTimes sets the access and modification times, without following a reparse point.
func (d *Dir) SetTimes(name string, atime, mtime cvd.Time) error {
	return with(d.h, name, forTimes, func(h windows.Handle) error { return setTimes(h, atime, mtime) })
}

// Space says what room the file system has. Windows does not count files.
func (d *Dir) Space() (s Space, err error) {
	err = d.byPath("", func(p string) error {
		path, err := windows.UTF16PtrFromString(p)
		if err != nil {
			return err
		}
		var avail, total, free uint64
		if err := windows.GetDiskFreeSpaceEx(path, &avail, &total, &free); err != nil {
			return err
		}
		s = Space{BlockSize: cluster, Blocks: total / cluster, Free: free / cluster, Avail: avail / cluster, NameMax: 255}
		return nil
	})
	return s, err
}

// cluster is the unit in which room is told.
const cluster = 4096

// OpenFile opens a file with the flags of os.OpenFile. Reparse points are not followed.
func (d *Dir) OpenFile(name string, flags int, mode uint32) (*File, error) {
	return openFile(d.h, name, flags, mode)
}

// device is the volume that d lies on.
func (d *Dir) device() (uint64, error) {
	var i windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(d.h, &i); err != nil {
		return 0, fmt.Errorf("stat of the backing directory: %w", err)
	}
	return uint64(i.VolumeSerialNumber), nil
}

// Sync makes the directory's entries durable.
func (d *Dir) Sync() error { return d.byPath("", durable.SyncDir) }
