package backing

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Windows knows no extended attributes as POSIX has them. The one that this
// package needs, its mark, is kept in an alternate data stream; others are not
// kept, and a desktop made on Windows has none.
const (
	markAttr   = "trusted.looming"
	streamName = ":looming"
)

func attributeTagOf(h windows.Handle, t *attributeTag) error {
	return windows.GetFileInformationByHandleEx(h, windows.FileAttributeTagInfo, (*byte)(unsafe.Pointer(t)), uint32(unsafe.Sizeof(*t)))
}

func getStream(at windows.Handle, name, attr string, dest []byte) (int, error) {
	if attr != markAttr {
		return 0, syscall.ENODATA
	}
	h, err := ntOpenAny(at, name+streamName, windows.FILE_READ_DATA|forAttr, 0, windows.FILE_OPEN, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, missing(at, name)
	}
	if err != nil {
		return 0, err
	}
	f := os.NewFile(uintptr(h), streamName)
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return 0, err
	case len(dest) == 0:
		return int(info.Size()), nil
	case info.Size() > int64(len(dest)):
		return 0, syscall.ERANGE
	}
	return f.ReadAt(dest[:info.Size()], 0)
}

// missing says whether it is the stream or the entry that is not there.
func missing(at windows.Handle, name string) error {
	if name != "" {
		if err := with(at, name, forAttr, func(windows.Handle) error { return nil }); err != nil {
			return err
		}
	}
	return syscall.ENODATA
}

func setStream(at windows.Handle, name, attr string, value []byte) error {
	if attr != markAttr {
		return fmt.Errorf("extended attribute %s on Windows: %w", attr, errors.ErrUnsupported)
	}
	return keepTimes(at, name, func() error {
		h, err := ntOpenAny(at, name+streamName, windows.FILE_WRITE_DATA|forAttr, windows.FILE_ATTRIBUTE_NORMAL, windows.FILE_OVERWRITE_IF, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(h), streamName)
		_, err = f.WriteAt(value, 0)
		return errors.Join(err, f.Close())
	})
}

func removeStream(at windows.Handle, name, attr string) error {
	if attr != markAttr {
		return syscall.ENODATA
	}
	return keepTimes(at, name, func() error {
		h, err := ntOpenAny(at, name+streamName, windows.DELETE, 0, windows.FILE_OPEN, 0)
		if errors.Is(err, os.ErrNotExist) {
			return missing(at, name)
		}
		if err != nil {
			return err
		}
		defer windows.CloseHandle(h)
		return unlinkHandle(h)
	})
}

// keepTimes lets the entry have the times it had: a stream's change is the entry's.
func keepTimes(at windows.Handle, name string, call func() error) error {
	return with(at, name, forTimes, func(h windows.Handle) error {
		before, err := getBasic(h)
		if err != nil {
			return err
		}
		if err := call(); err != nil {
			return err
		}
		return setBasic(h, basicInfo{Accessed: before.Accessed, Written: before.Written})
	})
}

// Getxattr reads the mark into dest, whose size may be 0 to ask for the length.
func (d *Dir) Getxattr(name, attr string, dest []byte) (int, error) {
	return getStream(d.h, name, attr, dest)
}

// Setxattr sets the mark.
func (d *Dir) Setxattr(name, attr string, value []byte, _ int) error {
	return setStream(d.h, name, attr, value)
}

// Listxattr lists nothing: the mark is no part of the desktop.
func (d *Dir) Listxattr(string, []byte) (int, error) { return 0, nil }

// Removexattr removes the mark.
func (d *Dir) Removexattr(name, attr string) error { return removeStream(d.h, name, attr) }
