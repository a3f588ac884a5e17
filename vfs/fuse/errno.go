//go:build linux

package fuse

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/fetch"
)

// errnos is the one table from error to errno. Errors of system calls stay what they are.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{context.Canceled, syscall.EINTR},
	{fetch.ErrOffline, syscall.ENETUNREACH},
	{chunk.ErrNotFound, syscall.EIO},
	{chunk.ErrDamaged, syscall.EIO},
	{cvd.ErrFormat, syscall.EIO},
	{backing.ErrMark, syscall.EIO},
	{fs.ErrNotExist, syscall.ENOENT},
	{fs.ErrExist, syscall.EEXIST},
	{fs.ErrPermission, syscall.EACCES},
}

// status translates an error, and logs what its number does not tell.
func (h *host) status(op string, err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	if e, ok := err.(syscall.Errno); ok { //nolint:errorlint // a bare number says it all
		return fuse.Status(e)
	}
	errno := syscall.EIO
	known := false
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			errno, known = e.errno, true
			break
		}
	}
	var raw syscall.Errno
	if errors.As(err, &raw) && (!known || errno == syscall.EACCES) {
		errno = raw
	}
	if errno != syscall.EINTR && errno != syscall.ENOENT {
		h.log.Error("request failed", "op", op, "err", err, "errno", errno.Error())
	}
	return fuse.Status(errno)
}
