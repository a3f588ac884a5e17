package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// write makes e in the directory at path, as far as the names and types are such that this system has.
func (w *restorer) write(ctx context.Context, path string, e *cvd.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.count(e)
	at := filepath.Join(path, e.Name)
	var err error
	switch e.Type {
	case cvd.Dir:
		if err = os.Mkdir(at, 0o700); err != nil {
			return err
		}
		err = cvd.ReadDir(ctx, w.src, e.Tree, func(e *cvd.Entry) error { return w.write(ctx, at, e) })
		if err != nil {
			return err
		}
	case cvd.Symlink:
		return w.note(at, os.Symlink(e.Target, at))
	case cvd.File:
		err = w.file(ctx, at, e)
	default:
		err = fmt.Errorf("a %s: %w here", e.Type, errors.ErrUnsupported)
	}
	if err == nil {
		err = os.Chtimes(at, e.Mtime.Std(), e.Mtime.Std())
	}
	return w.note(at, err)
}

// note takes an error of one entry.
func (w *restorer) note(name string, err error) error {
	if err != nil {
		w.fail(name, err)
	}
	return nil
}

func (w *restorer) file(ctx context.Context, at string, e *cvd.Entry) (err error) {
	f, err := os.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(at))
		}
	}()
	if e.Size <= cvd.InlineMax {
		_, err = f.Write(e.Content.Inline)
		return err
	}
	refs, err := cvd.ChunksOf(ctx, w.src, e.Size, &e.Content)
	if err != nil {
		return err
	}
	ids, offs, off := make([]chunk.ID, len(refs)), make([]int64, len(refs)), int64(0)
	for i, r := range refs {
		ids[i], offs[i] = r.ID, off
		off += int64(r.Size)
	}
	return w.src.Fetch(ctx, ids, func(i int, plain []byte, err error) error {
		if err == nil {
			_, err = f.WriteAt(plain, offs[i])
		}
		return err
	})
}
