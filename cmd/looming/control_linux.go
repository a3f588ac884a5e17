package main

import (
	"fmt"
	"os"
)

// socket is a path to the control socket that is short enough for the kernel,
// however long the work directory's is. The directory stays open until done.
func socket(work string) (path string, done func(), err error) {
	d, err := os.Open(work)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socketName), func() { _ = d.Close() }, nil
}
