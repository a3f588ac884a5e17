//go:build unix

package server

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/vfs/wire"
)

// lock takes a file's lock, which ends with the process at the latest. A lock that another process has is a conflict.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: another looming-server has the data directory: %s: %w", wire.ErrConflict, path, err)
	}
	return func() { f.Close() }, nil
}
