package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
	"golang.org/x/sys/unix"
)

// Limits of what is fetched in one go.
const (
	batchFiles = 256
	batchBytes = 16 << 20
)

// writer is one tree in the making.
type writer struct {
	*restorer
	ctx context.Context
	// open are files that wait for their bytes, size what they need.
	open  []*openFile
	size  uint64
	links links
}

// openDir is a directory in the making: its attributes come when nothing in it is under way any more.
type openDir struct {
	d    *backing.Dir
	e    *cvd.Entry
	up   *openDir
	path string
	refs int
}

// openFile is a file that waits for its bytes.
type openFile struct {
	f    *backing.File
	e    *cvd.Entry
	dir  *openDir
	refs []cvd.Ref
	err  error
}

// write makes e in the directory at path.
func (w *restorer) write(ctx context.Context, path string, e *cvd.Entry) error {
	d, err := backing.OpenDir(path)
	if err != nil {
		return err
	}
	x := &writer{restorer: w, ctx: ctx, links: links{in: d, groups: map[uint64]*group{}}}
	top := &openDir{d: d, path: path, refs: 1}
	err = x.entry(top, e)
	if err == nil {
		err = x.flush()
	}
	x.drop()
	return errors.Join(err, x.links.end(path), d.Close())
}

// drop closes the files that still wait after an error.
func (x *writer) drop() {
	for _, f := range x.open {
		_ = f.f.Close()
	}
}

// entry makes one entry. Errors of the entry are noted; what it returns ends the restore.
func (x *writer) entry(dir *openDir, e *cvd.Entry) error {
	if err := x.ctx.Err(); err != nil {
		return err
	}
	x.count(e)
	if e.Type == cvd.Dir {
		return x.directory(dir, e)
	}
	if e.Group != 0 {
		if g := x.links.groups[e.Group]; g != nil {
			return x.another(dir, e, g)
		}
		x.links.groups[e.Group] = &group{}
	}
	var err error
	if e.Type == cvd.File && e.Size > cvd.InlineMax {
		if err = x.begin(dir, e); err == nil {
			return x.flushFull()
		}
	} else {
		err = x.make(dir, e)
	}
	if err != nil { // of this name: others try for themselves
		delete(x.links.groups, e.Group)
		return x.note(dir.path+"/"+e.Name, err)
	}
	return x.made(dir, e, nil)
}

// made completes an entry that is whole, or notes what became of it instead; then its other names can come.
func (x *writer) made(dir *openDir, e *cvd.Entry, lost error) error {
	err := lost
	if lost == nil {
		err = x.dress(backing.Ref{Dir: dir.d, Name: e.Name}, e)
	}
	err = x.note(dir.path+"/"+e.Name, err)
	if e.Group == 0 {
		return err
	}
	return errors.Join(err, x.first(dir, e, lost))
}

// note takes an error of one entry. A full disk, or a source that is gone, is one for all.
func (x *writer) note(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EROFS), errors.Is(err, wire.ErrUnreachable),
		errors.Is(err, wire.ErrDenied), errors.Is(err, wire.ErrUnavailable), errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", printable(x.inSnapshot(name)), err)
	}
	x.fail(name, err)
	return nil
}

func (x *writer) directory(dir *openDir, e *cvd.Entry) error {
	name := dir.path + "/" + e.Name
	if err := dir.d.Mkdir(e.Name, 0o700); err != nil {
		return x.note(name, err)
	}
	d, err := dir.d.Open(e.Name)
	if err != nil {
		return x.note(name, err)
	}
	below := &openDir{d: d, e: e, up: dir, path: name, refs: 1}
	dir.refs++
	err = cvd.ReadDir(x.ctx, x.src, e.Tree, func(e *cvd.Entry) error { return x.entry(below, e) })
	if errors.Is(err, chunk.ErrDamaged) || errors.Is(err, chunk.ErrNotFound) {
		err = x.note(name, err)
	}
	return errors.Join(err, x.done(below))
}

// done lets go of a directory, and completes it when it was the last to do so.
func (x *writer) done(d *openDir) error {
	if d.refs--; d.refs > 0 || d.up == nil {
		return nil
	}
	err := x.note(d.path, x.dress(backing.Ref{Dir: d.d}, d.e))
	return errors.Join(err, d.d.Close(), x.done(d.up))
}

// make makes what is no directory and has its bytes with it: all of it but the attributes, or nothing.
func (x *writer) make(dir *openDir, e *cvd.Entry) error {
	switch e.Type {
	case cvd.File:
		f, err := x.create(dir, e)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(e.Content.Inline, 0)
		return finish(f, dir, e, err)
	case cvd.Symlink:
		return dir.d.Symlink(e.Target, e.Name)
	}
	return dir.d.Mknod(e.Name, e.Type, 0o600, e.Major, e.Minor)
}

func (x *writer) create(dir *openDir, e *cvd.Entry) (*backing.File, error) {
	return dir.d.OpenFile(e.Name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
}

// begin makes a file whose bytes come with the next flush.
func (x *writer) begin(dir *openDir, e *cvd.Entry) error {
	f, err := x.create(dir, e)
	if err != nil {
		return err
	}
	o := &openFile{f: f, e: e, dir: dir}
	if x.adopt(f, e) {
		dir.refs++
		x.open = append(x.open, o)
		return nil
	}
	if o.refs, err = cvd.ChunksOf(x.ctx, x.src, e.Size, &e.Content); err == nil {
		err = f.Truncate(e.Size)
	}
	if err != nil {
		return finish(f, dir, e, err)
	}
	dir.refs++
	x.open = append(x.open, o)
	x.size += e.Size
	return nil
}

// adopt has a large file share the bytes of one that this disk holds, if it can.
func (x *writer) adopt(f *backing.File, e *cvd.Entry) bool {
	if e.Size <= chunk.WholeMax {
		return false
	}
	src, err := x.held.Whole(e.Content.ID, e.Size)
	if err != nil {
		return false
	}
	defer src.Close()
	if f.Adopt(x.ctx, src, e.Size, e.Content.ID) != nil {
		return false
	}
	x.doc.FromDisk += e.Size
	return true
}

// finish closes a file, and removes it unless its bytes arrived: what is not whole is not left under its name.
func finish(f *backing.File, dir *openDir, e *cvd.Entry, err error) error {
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, dir.d.Unlink(e.Name))
	}
	return err
}

// place is where a chunk goes.
type place struct {
	o    *openFile
	off  int64
	size int
}

// flushFull flushes if enough waits.
func (x *writer) flushFull() error {
	if len(x.open)+x.links.waiting < batchFiles && x.size < batchBytes {
		return nil
	}
	return x.flush()
}

// flush brings the bytes of the files that wait.
func (x *writer) flush() error {
	var ids []chunk.ID
	var to []place
	for _, o := range x.open {
		var off int64
		for _, r := range o.refs {
			ids = append(ids, r.ID)
			to = append(to, place{o, off, int(r.Size)})
			off += int64(r.Size)
		}
	}
	err := x.src.Fetch(x.ctx, ids, func(i int, plain []byte, err error) error {
		p := to[i]
		if err == nil && len(plain) != p.size {
			err = fmt.Errorf("chunk %s: %w: %d bytes, not %d", ids[i], chunk.ErrDamaged, len(plain), p.size)
		}
		if err == nil {
			err = p.put(plain)
		}
		if err != nil && p.o.err == nil {
			p.o.err = err
		}
		return nil
	})
	files := x.open
	x.open, x.size = nil, 0
	for _, o := range files {
		failed := finish(o.f, o.dir, o.e, errors.Join(err, o.err))
		if e := x.made(o.dir, o.e, failed); e != nil && err == nil {
			err = e
		}
		if e := x.done(o.dir); e != nil && err == nil {
			err = e
		}
	}
	return err
}

// put writes a chunk; zeros of a file that had holes stay holes.
func (p *place) put(plain []byte) error {
	const page = 4096
	if !p.o.e.Sparse {
		_, err := p.o.f.WriteAt(plain, p.off)
		return err
	}
	for len(plain) > 0 {
		n := min(page-int(p.off%page), len(plain))
		if !zero(plain[:n]) {
			if _, err := p.o.f.WriteAt(plain[:n], p.off); err != nil {
				return err
			}
		}
		plain, p.off = plain[n:], p.off+int64(n)
	}
	return nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// dress gives an entry its attributes: the owner first, because changing it takes capabilities and setuid away, the
// times last.
func (x *writer) dress(r backing.Ref, e *cvd.Entry) error {
	var errs []error
	lack := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	lack("owner", r.Chown(int(e.UID), int(e.GID)))
	if e.Type != cvd.Symlink {
		lack("permissions", r.Chmod(e.Mode))
	}
	for _, a := range e.Xattrs {
		lack("attribute "+a.Name, r.Setxattr(a.Name, a.Value, 0))
	}
	lack("time", r.SetTimes(cvd.Time{Nsec: backing.TimeOmit}, e.Mtime))
	return errors.Join(errs...)
}
