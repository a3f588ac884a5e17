package scan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"syscall"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
	"golang.org/x/sys/unix"
)

// dir is an open directory.
type dir int

// file is an open regular file.
type file int

const (
	openDir  = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	openFile = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
)

// again repeats a system call that a signal interrupted.
func again(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func openat(at int, name string, flags int) (fd int, err error) {
	err = again(func() (err error) {
		fd, err = unix.Openat(at, name, flags|unix.O_NOATIME, 0)
		return err
	})
	if errors.Is(err, unix.EPERM) { // O_NOATIME is for the owner only
		err = again(func() (err error) {
			fd, err = unix.Openat(at, name, flags, 0)
			return err
		})
	}
	return fd, err
}

func openRoot(path string) (dir, error) {
	fd, err := openat(unix.AT_FDCWD, path, openDir&^unix.O_NOFOLLOW)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return dir(fd), nil
}

func (d dir) open(name string) (dir, error) {
	fd, err := openat(int(d), name, openDir)
	return dir(fd), err
}

func (d dir) close() { _ = unix.Close(int(d)) }

func (d dir) stat(name string, st *stat) error {
	var s unix.Stat_t
	err := again(func() error { return unix.Fstatat(int(d), name, &s, unix.AT_SYMLINK_NOFOLLOW) })
	st.from(&s)
	return err
}

func (d dir) self(st *stat) error { return file(d).stat(st) }

// above is the directory that holds d.
func (d dir) above(st *stat) error { return d.stat("..", st) }

func (st *stat) from(s *unix.Stat_t) {
	*st = stat{
		Ino: s.Ino, Size: uint64(s.Size), Mode: s.Mode, UID: s.Uid, GID: s.Gid, Nlink: uint32(s.Nlink), Rdev: uint64(s.Rdev),
		Mtime: cvd.Time{Sec: int64(s.Mtim.Sec), Nsec: uint32(s.Mtim.Nsec)},
		Ctime: cvd.Time{Sec: int64(s.Ctim.Sec), Nsec: uint32(s.Ctim.Nsec)},
		dev:   uint64(s.Dev), blocks: uint64(s.Blocks),
	}
}

// kind is what cvd calls the file's type, 0 if nothing.
func (st *stat) kind() cvd.Type {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return cvd.File
	case unix.S_IFDIR:
		return cvd.Dir
	case unix.S_IFLNK:
		return cvd.Symlink
	case unix.S_IFCHR:
		return cvd.CharDevice
	case unix.S_IFBLK:
		return cvd.BlockDevice
	case unix.S_IFIFO:
		return cvd.Fifo
	case unix.S_IFSOCK:
		return cvd.Socket
	}
	return 0
}

func (st *stat) device() (major, minor uint32) { return unix.Major(st.Rdev), unix.Minor(st.Rdev) }

func (st *stat) windows() *cvd.Windows { return nil }

// names calls each for every entry but "." and "..", in no order, with a name that is valid until each returns.
func (d dir) names(buf []byte, each func(name []byte, ino uint64)) error {
	for {
		var n int
		err := again(func() (err error) {
			n, err = unix.ReadDirent(int(d), buf)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
		for b := buf[:n]; len(b) > 0; {
			ino, size := binary.NativeEndian.Uint64(b), binary.NativeEndian.Uint16(b[16:])
			name := b[19:size]
			name = name[:bytes.IndexByte(name, 0)]
			b = b[size:]
			if string(name) != "." && string(name) != ".." {
				each(name, ino)
			}
		}
	}
}

func (d dir) readlink(name string) (string, error) {
	for buf := make([]byte, 256); ; buf = make([]byte, 4*len(buf)) {
		var n int
		err := again(func() (err error) {
			n, err = unix.Readlinkat(int(d), name, buf)
			return err
		})
		if err != nil || n < len(buf) {
			return string(buf[:max(n, 0)]), err
		}
	}
}

func (d dir) file(name string) (file, error) {
	fd, err := openat(int(d), name, openFile)
	return file(fd), err
}

func (f file) close() { _ = unix.Close(int(f)) }

func (f file) stat(st *stat) error {
	var s unix.Stat_t
	err := again(func() error { return unix.Fstat(int(f), &s) })
	st.from(&s)
	return err
}

// sequential tells the kernel to read far ahead.
func (f file) sequential() { _ = unix.Fadvise(int(f), 0, 0, unix.FADV_SEQUENTIAL) }

// readAt fills b as far as the file goes.
func (f file) readAt(b []byte, off int64) (n int, err error) {
	for n < len(b) {
		var m int
		err := again(func() (err error) {
			m, err = unix.Pread(int(f), b[n:], off+int64(n))
			return err
		})
		if err != nil || m == 0 {
			return n, err
		}
		n += m
	}
	return n, nil
}

// data returns the next run of data at or after off; from equals to at the end of the file.
func (f file) data(off, size int64) (from, to int64) {
	from, err := unix.Seek(int(f), off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size
	}
	if err != nil {
		return off, size // no such thing on this file system: all is data
	}
	to, err = unix.Seek(int(f), from, unix.SEEK_HOLE)
	if err != nil {
		to = size
	}
	return min(from, size), min(to, size)
}

// settle makes a change that comes later one that changes the times. It waits until a write that has begun has ended:
// ext4 and btrfs let readers see the middle of a write, for which the times were set at its beginning; looking for data
// takes the lock that the writer holds. And it has what was stored through a mapping written to the disk: a page that
// waits for that takes further stores without changing the times.
func (f file) settle() error {
	_, _ = unix.Seek(int(f), 0, unix.SEEK_DATA) // some file systems know nothing of it
	return durable.StartWriteback(int(f))
}

// attributes lists extended attributes through two calls.
type attributes struct {
	list func(buf []byte) (int, error)
	get  func(name string, buf []byte) (int, error)
}

func (f file) xattrs() ([]cvd.Xattr, error) {
	return attributes{
		func(buf []byte) (int, error) { return unix.Flistxattr(int(f), buf) },
		func(name string, buf []byte) (int, error) { return unix.Fgetxattr(int(f), name, buf) },
	}.read()
}

func (d dir) selfXattrs() ([]cvd.Xattr, error) { return file(d).xattrs() }

// xattrs goes through /proc, because there is no call relative to a descriptor before Linux 6.13.
func (d dir) xattrs(name string) ([]cvd.Xattr, error) {
	path := "/proc/self/fd/" + strconv.Itoa(int(d)) + "/" + name
	return attributes{
		func(buf []byte) (int, error) { return unix.Llistxattr(path, buf) },
		func(name string, buf []byte) (int, error) { return unix.Lgetxattr(path, name, buf) },
	}.read()
}

func (a attributes) read() ([]cvd.Xattr, error) {
	var room [256]byte
	list, err := grow(room[:], a.list)
	if err != nil || len(list) == 0 {
		if errors.Is(err, unix.ENOTSUP) {
			err = nil
		}
		return nil, err
	}
	var xs []cvd.Xattr
	for name := range bytes.SplitSeq(list[:len(list)-1], []byte{0}) {
		value, err := grow(make([]byte, 128), func(buf []byte) (int, error) { return a.get(string(name), buf) })
		switch {
		case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP): // gone meanwhile, or not to be had
			continue
		case err != nil:
			return nil, err
		}
		xs = append(xs, cvd.Xattr{Name: string(name), Value: value})
	}
	slices.SortFunc(xs, func(a, b cvd.Xattr) int { return compare(a.Name, b.Name) })
	return xs, nil
}

func grow(buf []byte, call func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := call(buf)
		if err == nil {
			return buf[:n:n], nil
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if !errors.Is(err, unix.ERANGE) || len(buf) > 1<<20 {
			return nil, err
		}
		buf = make([]byte, 16*len(buf))
	}
}

// kernelTypes are the file systems that hold nothing that was stored in them.
var kernelTypes = map[int64]bool{
	unix.PROC_SUPER_MAGIC: true, unix.SYSFS_MAGIC: true, unix.TMPFS_MAGIC: true, unix.RAMFS_MAGIC: true, unix.DEVPTS_SUPER_MAGIC: true,
	unix.CGROUP_SUPER_MAGIC: true, unix.CGROUP2_SUPER_MAGIC: true, unix.DEBUGFS_MAGIC: true, unix.TRACEFS_MAGIC: true,
	unix.SECURITYFS_MAGIC: true, unix.BPF_FS_MAGIC: true, unix.PSTOREFS_MAGIC: true, unix.EFIVARFS_MAGIC: true,
	unix.HUGETLBFS_MAGIC: true, unix.BINFMTFS_MAGIC: true, unix.AUTOFS_SUPER_MAGIC: true, unix.SELINUX_MAGIC: true,
	unix.NSFS_MAGIC: true, 0x19800202 /* mqueue */ : true, 0x62656570 /* configfs */ : true, 0x65735543 /* fusectl */ : true,
	0x67596969 /* rpc_pipefs */ : true,
}

// kernels says whether d is on a file system of the kernel's own.
func (d dir) kernels() bool {
	var s unix.Statfs_t
	return again(func() error { return unix.Fstatfs(int(d), &s) }) == nil && kernelTypes[int64(s.Type)]
}

// vanished says whether an error means that an entry is not there any more.
func vanished(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, syscall.ESTALE) }

// ready fails with words if the system lacks what a scan needs.
func ready() error {
	var s unix.Stat_t
	if err := unix.Stat("/proc/self/fd", &s); err != nil {
		return &fs.PathError{Op: "scan needs", Path: "/proc/self/fd", Err: err}
	}
	return nil
}
