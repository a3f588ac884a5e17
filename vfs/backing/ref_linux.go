package backing

import (
	"strconv"

	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sys/unix"
)

// Ref is where an entry is: a name in a directory, or a Pin that holds it
// without a name. Its methods are those of the system calls they are named for,
// and never follow a symlink.
type Ref struct {
	Dir  *Dir
	Name string
	Pin  *Pin
}

// Pin is an entry held whatever becomes of its names.
type Pin struct{ fd int }

// Pin holds on to the entry.
func (r Ref) Hold() (*Pin, error) {
	fd, err := unix.Openat(r.Dir.fd, r.Name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &Pin{fd}, nil
}

// Close lets go.
func (p *Pin) Close() error { return unix.Close(p.fd) }

// path leads to a pinned entry itself, also if that is a symlink.
func (p *Pin) path() string { return "/proc/self/fd/" + strconv.Itoa(p.fd) }

// Stat is lstat.
func (r Ref) Stat() (Attr, error) {
	if r.Pin != nil {
		return (&Dir{r.Pin.fd}).Stat("")
	}
	return r.Dir.Stat(r.Name)
}

// OpenFile opens the file.
func (r Ref) OpenFile(flags int) (*File, error) {
	if r.Pin == nil {
		return r.Dir.OpenFile(r.Name, flags, 0)
	}
	fd, err := unix.Open(r.Pin.path(), flags&^unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &File{fd}, nil
}

// Chmod sets the permission bits.
func (r Ref) Chmod(mode uint32) error {
	if r.Pin != nil {
		return unix.Chmod(r.Pin.path(), mode)
	}
	return r.Dir.Chmod(r.Name, mode)
}

// Chown sets the owners; -1 leaves one as it is.
func (r Ref) Chown(uid, gid int) error {
	if r.Pin != nil {
		return (&Dir{r.Pin.fd}).Chown("", uid, gid)
	}
	return r.Dir.Chown(r.Name, uid, gid)
}

// SetTimes sets the access and modification times.
func (r Ref) SetTimes(atime, mtime cvd.Time) error {
	if r.Pin != nil {
		return unix.UtimesNanoAt(unix.AT_FDCWD, r.Pin.path(), []unix.Timespec{timespec(atime), timespec(mtime)}, 0)
	}
	return r.Dir.SetTimes(r.Name, atime, mtime)
}

// Link gives the entry another name.
func (r Ref) Link(to *Dir, name string) error {
	if r.Pin != nil {
		return unix.Linkat(unix.AT_FDCWD, r.Pin.path(), to.fd, name, unix.AT_SYMLINK_FOLLOW)
	}
	return r.Dir.Link(r.Name, to, name)
}

// Readlink returns where a symlink points to.
func (r Ref) Readlink() (string, error) {
	if r.Pin != nil {
		return (&Dir{r.Pin.fd}).Readlink("")
	}
	return r.Dir.Readlink(r.Name)
}

// Getxattr reads an extended attribute; an empty dest asks for its length.
func (r Ref) Getxattr(attr string, dest []byte) (int, error) {
	if r.Pin != nil {
		return unix.Getxattr(r.Pin.path(), attr, dest)
	}
	return r.Dir.Getxattr(r.Name, attr, dest)
}

// Setxattr sets an extended attribute; flags are setxattr's.
func (r Ref) Setxattr(attr string, value []byte, flags int) error {
	if r.Pin != nil {
		return unix.Setxattr(r.Pin.path(), attr, value, flags)
	}
	return r.Dir.Setxattr(r.Name, attr, value, flags)
}

// Listxattr lists the names of extended attributes, each ended by a NUL.
func (r Ref) Listxattr(dest []byte) (int, error) {
	if r.Pin != nil {
		return unix.Listxattr(r.Pin.path(), dest)
	}
	return r.Dir.Listxattr(r.Name, dest)
}

// Removexattr removes an extended attribute.
func (r Ref) Removexattr(attr string) error {
	if r.Pin != nil {
		return unix.Removexattr(r.Pin.path(), attr)
	}
	return r.Dir.Removexattr(r.Name, attr)
}

// PinOf makes a Pin of a descriptor, which it owns from now on.
func PinOf(fd int) *Pin { return &Pin{fd} }

// Fd is the descriptor, for whoever passes it on.
func (p *Pin) Fd() int { return p.fd }

// OpenDir opens a pinned directory.
func (p *Pin) OpenDir() (*Dir, error) { return (&Dir{p.fd}).Reopen() }
