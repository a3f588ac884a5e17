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

// errnos is the one table from error to errno; the first that fits counts. Errors
// of system calls stay what they are, also wrapped, and come before the last three.
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
	{errSystem, 0},
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
	errno := errnoOf(err)
	if errno != syscall.EINTR && errno != syscall.ENOENT && !quiet(err) {
		h.log.Error("request failed", "op", op, "err", err, "errno", errno.Error())
	}
	return fuse.Status(errno)
}

// errSystem stands in errnos for what is a system call's error already.
var errSystem = errors.New("error of a system call")

func errnoOf(err error) syscall.Errno {
	var raw syscall.Errno
	system := errors.As(err, &raw)
	for _, e := range errnos {
		switch {
		case e.err == errSystem && system: //nolint:errorlint // it is never wrapped
			return raw
		case errors.Is(err, e.err):
			return e.errno
		}
	}
	return syscall.EIO
}
