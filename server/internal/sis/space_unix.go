//go:build unix

package sis

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// space is what statfs says: what an ordinary user may still write, and all.
func space(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}
