package backing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/zeebo/blake3"
)

// Adopt has f, which is empty and not yet anybody's, share the bytes of src on the disk. They are checked when they are
// f's already, so that no change of src can come between. Where the file system cannot, or src is no longer the file of
// that size and id, f is empty again and the error says why.
func (f *File) Adopt(ctx context.Context, src *os.File, size uint64, id chunk.ID) error {
	err := f.share(int(src.Fd()), size)
	if err == nil {
		err = f.check(ctx, size, id)
	}
	if err != nil {
		err = errors.Join(err, f.Truncate(0))
	}
	return err
}

// Share has f share the bytes of src, which has this size, on the disk.
func (f *File) Share(src *File, size uint64) error { return f.share(src.Fd(), size) }

// check reads the whole file.
func (f *File) check(ctx context.Context, size uint64, id chunk.ID) error {
	h := blake3.New()
	buf := make([]byte, chunk.MaxSize)
	for off := uint64(0); off < size; {
		n, err := f.ReadAt(buf, int64(off))
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		_, _ = h.Write(buf[:n]) // never fails
		off += uint64(n)
	}
	if got := chunk.ID(h.Sum(nil)); got != id {
		return fmt.Errorf("file %s: %w: it is %s now", id, chunk.ErrDamaged, got)
	}
	return nil
}
