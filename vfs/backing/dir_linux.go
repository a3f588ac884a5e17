package backing

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
	"golang.org/x/sys/unix"
)

// Dir is an open directory. Names are single components, "" is the directory
// itself: nothing here joins paths, so that no depth is too deep and no symlink
// is followed.
type Dir struct{ fd int }

// OpenDir opens the directory at a path of the surrounding file system.
func OpenDir(path string) (*Dir, error) {
	return openDir(unix.AT_FDCWD, path, 0)
}

func openDir(at int, name string, flags int) (*Dir, error) {
	fd, err := retryInt(func() (int, error) {
		return unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
	})
	if err != nil {
		return nil, &os.PathError{Op: "open directory", Path: name, Err: err}
	}
	return &Dir{fd}, nil
}

// retryInt calls f until no signal interrupts it.
func retryInt(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// Close closes the directory.
func (d *Dir) Close() error { return unix.Close(d.fd) }

// Open opens a directory in d.
func (d *Dir) Open(name string) (*Dir, error) { return openDir(d.fd, name, unix.O_NOFOLLOW) }

// Reopen opens d once more, with a position of its own.
func (d *Dir) Reopen() (*Dir, error) { return openDir(d.fd, ".", 0) }

// Stat says what d holds under name, without following a symlink; "" is d itself.
func (d *Dir) Stat(name string) (Attr, error) {
	var st unix.Stat_t
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if err := unix.Fstatat(d.fd, name, &st, flags); err != nil {
		return Attr{}, err
	}
	return attrOf(&st), nil
}

func attrOf(st *unix.Stat_t) Attr {
	return Attr{
		Ino: st.Ino, Type: typeOf(st.Mode), Mode: st.Mode & 0o7777, Nlink: uint32(st.Nlink),
		UID: st.Uid, GID: st.Gid, Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev),
		Size: uint64(st.Size), Blocks: uint64(st.Blocks), BlockSize: uint32(st.Blksize),
		Atime: timeOf(st.Atim), Mtime: timeOf(st.Mtim), Ctime: timeOf(st.Ctim),
	}
}

func timeOf(t unix.Timespec) cvd.Time { return cvd.Time{Sec: t.Sec, Nsec: uint32(t.Nsec)} }

func timespec(t cvd.Time) unix.Timespec { return unix.Timespec{Sec: t.Sec, Nsec: int64(t.Nsec)} }

var modeTypes = map[uint32]cvd.Type{
	unix.S_IFREG: cvd.File, unix.S_IFDIR: cvd.Dir, unix.S_IFLNK: cvd.Symlink,
	unix.S_IFCHR: cvd.CharDevice, unix.S_IFBLK: cvd.BlockDevice, unix.S_IFIFO: cvd.Fifo, unix.S_IFSOCK: cvd.Socket,
}

var typeModes = func() (t [8]uint32) {
	for mode, typ := range modeTypes {
		t[typ] = mode
	}
	return t
}()

func typeOf(mode uint32) cvd.Type {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return cvd.File
	case unix.S_IFDIR:
		return cvd.Dir
	case unix.S_IFLNK:
		return cvd.Symlink
	}
	return modeTypes[mode&unix.S_IFMT]
}

// TypeMode returns the file type bits of a Linux mode for t.
func TypeMode(t cvd.Type) uint32 { return typeModes[t] }

// Mkdir makes a directory.
func (d *Dir) Mkdir(name string, mode uint32) error { return unix.Mkdirat(d.fd, name, mode) }

// Mknod makes a file, device, fifo or socket.
func (d *Dir) Mknod(name string, t cvd.Type, mode, major, minor uint32) error {
	return unix.Mknodat(d.fd, name, TypeMode(t)|mode, int(unix.Mkdev(major, minor)))
}

// Symlink makes a symlink to target.
func (d *Dir) Symlink(target, name string) error { return unix.Symlinkat(target, d.fd, name) }

// Readlink returns where a symlink points to.
func (d *Dir) Readlink(name string) (string, error) {
	for size := 256; ; size *= 4 {
		b := make([]byte, size)
		n, err := unix.Readlinkat(d.fd, name, b)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(b[:n]), nil
		}
	}
}

// Link gives the entry another name in to.
func (d *Dir) Link(name string, to *Dir, toName string) error {
	return unix.Linkat(d.fd, name, to.fd, toName, 0)
}

// Unlink removes an entry that is not a directory.
func (d *Dir) Unlink(name string) error { return unix.Unlinkat(d.fd, name, 0) }

// Rmdir removes an empty directory.
func (d *Dir) Rmdir(name string) error { return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) }

// Rename moves an entry on behalf of a user; flags are renameat2's. That it cannot
// be moved is the user's to know, by the bare number as for other calls.
func (d *Dir) Rename(name string, to *Dir, toName string, flags uint32) error {
	err := durable.RenameAt(d.fd, name, to.fd, toName, uint(flags))
	if e := (*os.LinkError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Chmod sets the permission bits. Symlinks have none of their own.
func (d *Dir) Chmod(name string, mode uint32) error {
	if name == "" {
		return unix.Fchmod(d.fd, mode)
	}
	return unix.Fchmodat(d.fd, name, mode, 0)
}

// Chown sets the owners; -1 leaves one as it is.
func (d *Dir) Chown(name string, uid, gid int) error {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	return unix.Fchownat(d.fd, name, uid, gid, flags)
}

// Times of SetTimes.
const (
	// TimeOmit as nanoseconds leaves a time as it is, TimeNow takes the disk's clock.
	TimeOmit = unix.UTIME_OMIT
	TimeNow  = unix.UTIME_NOW
)

// SetTimes sets the access and modification times, without following a symlink.
func (d *Dir) SetTimes(name string, atime, mtime cvd.Time) error {
	if name == "" {
		return unix.UtimesNanoAt(d.fd, ".", []unix.Timespec{timespec(atime), timespec(mtime)}, 0)
	}
	return unix.UtimesNanoAt(d.fd, name, []unix.Timespec{timespec(atime), timespec(mtime)}, unix.AT_SYMLINK_NOFOLLOW)
}

// Space says what room the file system has.
func (d *Dir) Space() (Space, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &st); err != nil {
		return Space{}, err
	}
	return Space{
		BlockSize: uint32(st.Bsize), Blocks: st.Blocks, Free: st.Bfree, Avail: st.Bavail,
		Files: st.Files, FilesFree: st.Ffree, NameMax: uint32(st.Namelen),
	}, nil
}

// proc is a path to name in d for the calls that know no directory descriptors.
// It is short, however deep d lies.
func (d *Dir) proc(name string) string {
	p := "/proc/self/fd/" + strconv.Itoa(d.fd)
	if name == "" {
		return p
	}
	return p + "/" + name
}

// Getxattr reads an extended attribute into dest, whose size may be 0 to ask for the length.
func (d *Dir) Getxattr(name, attr string, dest []byte) (int, error) {
	if name == "" {
		return unix.Fgetxattr(d.fd, attr, dest)
	}
	return unix.Lgetxattr(d.proc(name), attr, dest)
}

// Setxattr sets an extended attribute; flags are setxattr's.
func (d *Dir) Setxattr(name, attr string, value []byte, flags int) error {
	if name == "" {
		return unix.Fsetxattr(d.fd, attr, value, flags)
	}
	return unix.Lsetxattr(d.proc(name), attr, value, flags)
}

// Listxattr lists the names of extended attributes, each ended by a NUL.
func (d *Dir) Listxattr(name string, dest []byte) (int, error) {
	if name == "" {
		return unix.Flistxattr(d.fd, dest)
	}
	return unix.Llistxattr(d.proc(name), dest)
}

// Removexattr removes an extended attribute.
func (d *Dir) Removexattr(name, attr string) error {
	if name == "" {
		return unix.Fremovexattr(d.fd, attr)
	}
	return unix.Lremovexattr(d.proc(name), attr)
}

// OpenFile opens a file with the flags of open(2); a symlink is not followed.
func (d *Dir) OpenFile(name string, flags int, mode uint32) (*File, error) {
	fd, err := retryInt(func() (int, error) {
		return unix.Openat(d.fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	})
	if err != nil {
		return nil, err
	}
	return &File{fd}, nil
}

// device is the file system that d lies on.
func (d *Dir) device() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return 0, fmt.Errorf("stat of the backing directory: %w", err)
	}
	return st.Dev, nil
}

// Sync makes the directory's entries durable.
func (d *Dir) Sync() error { return durable.SyncFd(d.fd, "directory in the backing directory") }

// ModeType returns the type that a Linux mode has.
func ModeType(mode uint32) cvd.Type {
	if mode&unix.S_IFMT == 0 {
		return cvd.File
	}
	return typeOf(mode)
}
