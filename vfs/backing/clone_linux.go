package backing

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Temp makes a file without a name on the file system of the backing directory.
func (s *Store) Temp() (*File, error) {
	fd, err := unix.Open(s.side, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "make a file without a name in", Path: s.side, Err: err}
	}
	return &File{fd}, nil
}

// share is FICLONERANGE from the start: btrfs and xfs have it, on one file system.
func (f *File) share(fd int, size uint64) error {
	err := unix.IoctlFileCloneRange(f.fd, &unix.FileCloneRange{Src_fd: int64(fd), Src_length: size})
	if err != nil {
		return fmt.Errorf("sharing bytes on the disk: %w", err)
	}
	return nil
}
