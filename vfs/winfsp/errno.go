//go:build windows || cgo

package winfsp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/fetch"
	"github.com/winfsp/cgofuse/fuse"
)

// errno is a number that was translated, and logged, already.
type errno int

func (e errno) Error() string { return fmt.Sprintf("error %d of FUSE", int(e)) }

// errnos is the one table from error to errno; the first that fits counts.
var errnos = []struct {
	err   error
	errno int
}{
	{context.Canceled, fuse.EINTR},
	{fetch.ErrOffline, fuse.ENETUNREACH},
	{chunk.ErrNotFound, fuse.EIO},
	{chunk.ErrDamaged, fuse.EIO},
	{cvd.ErrFormat, fuse.EIO},
	{backing.ErrMark, fuse.EIO},
	{syscall.ENOTEMPTY, fuse.ENOTEMPTY},
	{syscall.ENOTDIR, fuse.ENOTDIR},
	{syscall.EISDIR, fuse.EISDIR},
	{syscall.EINVAL, fuse.EINVAL},
	{syscall.ENODATA, fuse.ENODATA},
	{syscall.ERANGE, fuse.ERANGE},
	{syscall.ENOSPC, fuse.ENOSPC},
	{syscall.EXDEV, fuse.EXDEV},
	{syscall.EMLINK, fuse.EMLINK},
	{syscall.EROFS, fuse.EROFS},
	{syscall.EBUSY, fuse.EBUSY},
	{syscall.ELOOP, fuse.ELOOP},
	{syscall.ENAMETOOLONG, fuse.ENAMETOOLONG},
	{syscall.EFBIG, fuse.EFBIG},
	{syscall.ENXIO, fuse.ENXIO},
	{syscall.EPERM, fuse.EPERM},
	{syscall.ESTALE, fuse.ENOENT},
	{fs.ErrNotExist, fuse.ENOENT},
	{fs.ErrExist, fuse.EEXIST},
	{fs.ErrPermission, fuse.EACCES},
	{errors.ErrUnsupported, fuse.EOPNOTSUPP},
}

// errno translates an error into what cgofuse returns, and logs what its number
// does not tell.
func (h *host) errno(op string, err error) int {
	if err == nil {
		return 0
	}
	var known errno
	if errors.As(err, &known) {
		return -int(known)
	}
	n, bare := numberOf(err)
	if !bare {
		h.log.Error("request failed", "op", op, "err", err, "errno", n)
	}
	return -n
}

// numberOf is the number for an error; bare says that it tells all there is to say.
func numberOf(err error) (n int, bare bool) {
	_, bare = err.(syscall.Errno) //nolint:errorlint // whether there is more around it
	for _, e := range append(errnos, native...) {
		if errors.Is(err, e.err) {
			return e.errno, bare || e.errno == fuse.ENOENT || e.errno == fuse.EINTR
		}
	}
	return fuse.EIO, false
}
