package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The copies of the tree in a tree ten times as large. Files above copyMax are
// only in the first, so that it fits on a disk: entries and chunks are what
// memory could grow with, and of those there are ten times as many.
const (
	copies  = 10
	copyMax = 64 << 10
)

// tenfold is the memory that a tree ten times as large takes, up and down.
func (b *bench) tenfold(ctx context.Context) error {
	s, err := b.begin(ctx)
	if err != nil {
		return err
	}
	large := filepath.Join(s.dir, "tenfold")
	entries, err := multiply(ctx, b.tree, large)
	if err != nil {
		return err
	}
	kept := b.memory
	b.memory = nil
	defer func() { b.memory = kept }()
	if err := b.upload(ctx, s, s.endpoint, cvd, large, "centralizing"); err != nil {
		return err
	}
	if err := os.RemoveAll(large); err != nil {
		return err
	}
	if err := b.native1(ctx, s, filepath.Join(s.dir, "desk")); err != nil {
		return err
	}
	for _, of := range []string{"endpoint", "server"} {
		r, _ := b.peakOf(of)
		r.what, r.note = r.what+", ten times the tree", fmt.Sprintf("%s; %d entries", r.note, entries)
		b.add(r)
	}
	return b.end()
}

// multiply makes the copies and counts what is in them.
func multiply(ctx context.Context, tree, to string) (entries int, err error) {
	for i := range copies {
		c := copier{ctx: ctx, from: tree, to: filepath.Join(to, fmt.Sprint(i)), number: i}
		if err := os.MkdirAll(c.to, 0o755); err != nil {
			return 0, err
		}
		if err := filepath.WalkDir(tree, c.entry); err != nil {
			return 0, err
		}
		entries += c.entries
	}
	return entries, nil
}

// copier makes one copy whose files are all unlike those of the others.
type copier struct {
	ctx      context.Context //nolint:containedctx // the life of one walk
	from, to string
	number   int
	entries  int
}

func (c *copier) entry(path string, e fs.DirEntry, err error) error {
	if err != nil || c.ctx.Err() != nil {
		return errors.Join(err, c.ctx.Err())
	}
	to := filepath.Join(c.to, strings.TrimPrefix(path, c.from))
	c.entries++
	switch e.Type() {
	case fs.ModeDir:
		return os.MkdirAll(to, 0o755)
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		return errors.Join(err, os.Symlink(target, to))
	case 0:
		return c.file(path, to)
	}
	return nil
}

func (c *copier) file(path, to string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil || c.number > 0 && info.Size() > copyMax {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm()|0o600)
	if err != nil {
		return err
	}
	if c.number > 0 {
		_, err = fmt.Fprintln(out, "copy", c.number)
	}
	if err == nil {
		_, err = io.Copy(out, in)
	}
	return errors.Join(err, out.Close())
}
