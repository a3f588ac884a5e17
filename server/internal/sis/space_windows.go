package sis

import (
	"fmt"

	"golang.org/x/sys/windows"
)

func space(dir string) (free, total int64, err error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var avail, all uint64
	if err := windows.GetDiskFreeSpaceEx(p, &avail, &all, nil); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(avail), int64(all), nil
}
