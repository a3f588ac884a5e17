package backing

import (
	"errors"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
	"golang.org/x/sys/unix"
)

// File is an open file of the backing directory.
type File struct{ fd int }

// Fd is the descriptor, for hosts that hand it to the kernel.
func (f *File) Fd() int { return f.fd }

// Close closes the file.
func (f *File) Close() error { return unix.Close(f.fd) }

// ReadAt reads up to len(p) bytes; fewer are read only at the end of the file.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := unix.Pread(f.fd, p[n:], off+int64(n))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || m == 0 {
			return n, err
		}
		n += m
	}
	return n, nil
}

// WriteAt writes all of p.
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := unix.Pwrite(f.fd, p[n:], off+int64(n))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// Append writes p where O_APPEND puts it.
func (f *File) Append(p []byte) (int, error) {
	return retryInt(func() (int, error) { return unix.Write(f.fd, p) })
}

// Stat says what the file is.
func (f *File) Stat() (Attr, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return Attr{}, err
	}
	return attrOf(&st), nil
}

// Truncate sets the size.
func (f *File) Truncate(size uint64) error { return unix.Ftruncate(f.fd, int64(size)) }

// SetMtime sets the modification time and leaves the access time.
func (f *File) SetMtime(t cvd.Time) error {
	return futimens(f.fd, cvd.Time{Nsec: TimeOmit}, t)
}

// SetTimes sets both times.
func (f *File) SetTimes(atime, mtime cvd.Time) error { return futimens(f.fd, atime, mtime) }

// Chmod sets the permission bits.
func (f *File) Chmod(mode uint32) error { return unix.Fchmod(f.fd, mode) }

// Chown sets the owners; -1 leaves one as it is.
func (f *File) Chown(uid, gid int) error { return unix.Fchown(f.fd, uid, gid) }

// Fallocate is fallocate(2).
func (f *File) Fallocate(mode uint32, off, length int64) error {
	return unix.Fallocate(f.fd, mode, off, length)
}

// Seek is lseek(2), for SEEK_DATA and SEEK_HOLE.
func (f *File) Seek(off int64, whence int) (int64, error) { return unix.Seek(f.fd, off, whence) }

// Sync makes the file durable.
func (f *File) Sync() error { return durable.SyncFd(f.fd, "file in the backing directory") }

// SyncData makes the file's bytes durable.
func (f *File) SyncData() error { return durable.SyncDataFd(f.fd, "file in the backing directory") }

// Setxattr sets an extended attribute.
func (f *File) Setxattr(attr string, value []byte) error {
	return unix.Fsetxattr(f.fd, attr, value, 0)
}

// Getxattr reads an extended attribute.
func (f *File) Getxattr(attr string, dest []byte) (int, error) {
	return unix.Fgetxattr(f.fd, attr, dest)
}

// Removexattr removes an extended attribute.
func (f *File) Removexattr(attr string) error { return unix.Fremovexattr(f.fd, attr) }
