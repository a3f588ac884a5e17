package vfs

import (
	"context"
	"fmt"
	"syscall"
)

// ErrBarred says that a program asked for content that is not here, and that it is
// one of those for which none is to be fetched. It wraps EPERM: what is asked for is
// not permitted to this program. It is not EACCES, for no mode or owner is in the way
// and other programs can read the file; not EAGAIN or EBUSY, which have programs ask
// again at once; and not EIO or ENETUNREACH, for nothing is broken. Where the kernel
// itself refuses an open for a watcher of files (fanotify), this is its number too.
var ErrBarred = fmt.Errorf("%w: its content is not on this disk, and is not fetched for this program", syscall.EPERM)

type barKey struct{}

// Bar returns a context for the requests of a program that may be one for which
// nothing is to be fetched; is says whether it is, and is asked only before a fetch.
// Such a program reads what is here and lists directories as ever. Opening a file
// that is not all here fails at once, with ErrBarred, and so does reading it where
// it was opened by somebody else.
func Bar(ctx context.Context, is func() bool) context.Context {
	return context.WithValue(ctx, barKey{}, is)
}

// barred is ErrBarred for those programs.
func barred(ctx context.Context) error {
	if is, ok := ctx.Value(barKey{}).(func() bool); ok && is() {
		return ErrBarred
	}
	return nil
}
