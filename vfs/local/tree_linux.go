package local

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// tree is the directory whose files are read.
type tree struct{ top *os.File }

func openTree(path string) (*tree, error) {
	top, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	return &tree{top}, err
}

func (t *tree) close() { _ = t.top.Close() }

// open opens a regular file by its path below the tree. The way leads over no symlink, and not to another file system
// or mount: behind one might be what this process itself serves. What is there is looked at before it is opened, for to
// open a device may do something.
func (t *tree) open(path string) (*os.File, error) {
	pin, err := t.pin(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(pin)
	var st unix.Stat_t
	if err := unix.Fstat(pin, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%q is no regular file", path)
	}
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC
	self := "/proc/self/fd/" + strconv.Itoa(pin)
	fd, err := unix.Open(self, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) { // O_NOATIME is for the owner only
		fd, err = unix.Open(self, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// pin holds what lies at path without opening it.
func (t *tree) pin(path string) (pin int, err error) {
	raw, err := t.top.SyscallConn()
	if err != nil {
		return -1, err
	}
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	}
	var failed error
	err = raw.Control(func(top uintptr) { pin, failed = unix.Openat2(int(top), path, &how) })
	return pin, errors.Join(err, failed)
}
