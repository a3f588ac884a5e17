package backing

import (
	"errors"
	"io"
	"os"
	"syscall"
	"unsafe"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
	"golang.org/x/sys/windows"
)

// File is an open file of the backing directory.
type File struct{ f *os.File }

func openFile(at windows.Handle, name string, flags int, mode uint32) (*File, error) {
	access, disposition := accessOf(flags), dispositionOf(flags)
	attributes := attributesFor(mode) | windows.FILE_ATTRIBUTE_NORMAL
	var options uint32 = windows.FILE_NON_DIRECTORY_FILE
	if flags&os.O_SYNC != 0 {
		options |= windows.FILE_WRITE_THROUGH
	}
	h, err := ntOpen(at, name, access, attributes, disposition, options)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) && access != readAccess {
		h, err = openReadOnly(at, name, func() (windows.Handle, error) {
			return ntOpen(at, name, access, attributes, disposition, options)
		}, err)
	}
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = "file in the backing directory"
	}
	f := &File{os.NewFile(uintptr(h), name)}
	if flags&os.O_TRUNC != 0 {
		if err := f.Truncate(0); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// openReadOnly opens a file for writing that says that nobody may: the host has
// decided already who may, and a placeholder is filled whatever it says.
func openReadOnly(at windows.Handle, name string, open func() (windows.Handle, error), refused error) (windows.Handle, error) {
	var out windows.Handle
	err := with(at, name, forTimes, func(h windows.Handle) error {
		b, err := getBasic(h)
		if err != nil {
			return err
		}
		if b.Attributes&windows.FILE_ATTRIBUTE_READONLY == 0 {
			return refused
		}
		if err := chmodHandle(h, 0o644); err != nil {
			return err
		}
		out, err = open()
		return errors.Join(err, chmodHandle(h, 0o444))
	})
	return out, err
}

const readAccess = windows.FILE_READ_DATA | windows.FILE_READ_ATTRIBUTES | windows.FILE_READ_EA

func accessOf(flags int) uint32 {
	const write = windows.FILE_WRITE_DATA | windows.FILE_WRITE_ATTRIBUTES | windows.FILE_WRITE_EA | windows.FILE_READ_ATTRIBUTES
	switch flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR) {
	case os.O_WRONLY:
		return write
	case os.O_RDWR:
		return readAccess | write
	}
	return readAccess
}

// dispositionOf never is to overwrite: that would take the mark and all
// attributes away, where truncating takes the bytes alone.
func dispositionOf(flags int) uint32 {
	switch {
	case flags&os.O_CREATE != 0 && flags&os.O_EXCL != 0:
		return windows.FILE_CREATE
	case flags&os.O_CREATE != 0:
		return windows.FILE_OPEN_IF
	}
	return windows.FILE_OPEN
}

func (f *File) handle() windows.Handle { return windows.Handle(f.f.Fd()) }

// Fd is the handle's number.
func (f *File) Fd() int { return int(f.f.Fd()) }

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// ReadAt reads up to len(p) bytes; fewer are read only at the end of the file.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// WriteAt writes all of p.
func (f *File) WriteAt(p []byte, off int64) (int, error) { return f.f.WriteAt(p, off) }

// Append writes p at the end of the file. One process writes it at a time.
func (f *File) Append(p []byte) (int, error) {
	a, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return f.f.WriteAt(p, int64(a.Size))
}

// Stat says what the file is.
func (f *File) Stat() (Attr, error) { return statHandle(f.handle()) }

// Truncate sets the size. A file that grows is sparse from then on: what was not
// written takes no room.
func (f *File) Truncate(size uint64) error {
	a, err := f.Stat()
	if err != nil {
		return err
	}
	if size > a.Size {
		if err := f.control(windows.FSCTL_SET_SPARSE, nil); err != nil && !isUnsupported(err) {
			return err
		}
	}
	return f.f.Truncate(int64(size))
}

func (f *File) control(code uint32, in []byte) error {
	var p *byte
	if len(in) > 0 {
		p = &in[0]
	}
	var n uint32
	return windows.DeviceIoControl(f.handle(), code, p, uint32(len(in)), nil, 0, &n, nil)
}

// SetMtime sets the modification time and leaves the access time.
func (f *File) SetMtime(t cvd.Time) error { return f.SetTimes(cvd.Time{Nsec: TimeOmit}, t) }

// SetTimes sets both times.
func (f *File) SetTimes(atime, mtime cvd.Time) error { return setTimes(f.handle(), atime, mtime) }

// Chmod sets what Windows has of the permission bits: whether somebody may write.
func (f *File) Chmod(mode uint32) error { return chmodHandle(f.handle(), mode) }

// Chown does nothing: see Dir.Chown.
func (f *File) Chown(int, int) error { return nil }

// Fallocate sets room aside (mode 0 or 1), or punches a hole (mode 3), as Linux's does.
func (f *File) Fallocate(mode uint32, off, length int64) error {
	const keepSize, punch = 1, 3
	switch mode {
	case 0, keepSize:
		a, err := f.Stat()
		if err != nil {
			return err
		}
		end := off + length
		if mode == 0 && end > int64(a.Size) {
			return f.f.Truncate(end)
		}
		return nil // room within the size is the file system's own to find
	case punch:
		return f.punch(off, off+length)
	}
	return syscall.EOPNOTSUPP
}

func (f *File) punch(from, to int64) error {
	zero := struct{ From, To int64 }{from, to}
	in := unsafe.Slice((*byte)(unsafe.Pointer(&zero)), unsafe.Sizeof(zero))
	if err := f.control(windows.FSCTL_SET_SPARSE, nil); err != nil {
		return err
	}
	return f.control(windows.FSCTL_SET_ZERO_DATA, in)
}

// Seek is lseek(2) for SEEK_DATA and SEEK_HOLE: all is data.
func (f *File) Seek(off int64, whence int) (int64, error) {
	const seekHole = 4
	a, err := f.Stat()
	switch {
	case err != nil:
		return 0, err
	case off >= int64(a.Size):
		return 0, syscall.ENXIO
	case whence == seekHole:
		return int64(a.Size), nil
	}
	return off, nil
}

// Sync makes the file durable.
func (f *File) Sync() error { return f.flush(durable.SyncFile) }

// SyncData makes the file's bytes durable.
func (f *File) SyncData() error { return f.flush(durable.SyncData) }

// flush opens a file that is open for reading once more for writing: Windows
// flushes no other.
func (f *File) flush(sync func(*os.File) error) error {
	err := sync(f.f)
	if !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return err
	}
	g, err := openFile(f.handle(), "", os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(sync(g.f), g.Close())
}

// Setxattr sets the mark.
func (f *File) Setxattr(attr string, value []byte) error {
	return setStream(f.handle(), "", attr, value)
}

// Getxattr reads the mark.
func (f *File) Getxattr(attr string, dest []byte) (int, error) {
	return getStream(f.handle(), "", attr, dest)
}

// Removexattr removes the mark.
func (f *File) Removexattr(attr string) error { return removeStream(f.handle(), "", attr) }
