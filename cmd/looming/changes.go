package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/scan"
)

// changes finds what differs between a backing directory and the snapshot that it was begun with: what is a
// placeholder still, or has the size, the time and the permissions of the snapshot, has not been changed.
type changes struct {
	src  chunk.Source
	side string
	// found are paths from the root on, each with what became of it.
	found []string
}

// below compares a backing directory with the snapshot's root.
func (c *changes) below(ctx context.Context, path string, top *cvd.Entry) error {
	d, err := backing.OpenDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing has been shown yet
	}
	if err != nil {
		return err
	}
	defer d.Close()
	return c.directory(ctx, d, "", top)
}

// directory compares what d holds with the node of e.
func (c *changes) directory(ctx context.Context, d *backing.Dir, path string, e *cvd.Entry) error {
	m, marked, err := markOf(d, "")
	if err != nil || marked && m.Listed == 0 && m.Tree == e.Tree {
		return err // nothing below was ever looked at
	}
	here, err := namesOf(d)
	if err != nil {
		return err
	}
	err = cvd.ReadDir(ctx, c.src, e.Tree, func(e *cvd.Entry) error {
		if !here[e.Name] {
			c.note(path+e.Name, "deleted")
			return nil
		}
		delete(here, e.Name)
		return c.entry(ctx, d, path, e)
	})
	for _, name := range slices.Sorted(maps.Keys(here)) {
		c.note(path+name, "new")
	}
	return err
}

func (c *changes) entry(ctx context.Context, d *backing.Dir, path string, e *cvd.Entry) error {
	a, err := d.Stat(e.Name)
	if err != nil {
		return err
	}
	switch {
	case a.Type != e.Type:
		c.note(path+e.Name, "replaced")
	case e.Type == cvd.Dir:
		below, err := d.Open(e.Name)
		if err != nil {
			return err
		}
		defer below.Close()
		return c.directory(ctx, below, path+e.Name+"/", e)
	case e.Type == cvd.File:
		same, err := c.sameFile(d, &a, e)
		if err == nil && !same {
			c.note(path+e.Name, "changed")
		}
		return err
	case e.Type == cvd.Symlink:
		to, err := d.Readlink(e.Name)
		if err == nil && to != e.Target {
			c.note(path+e.Name, "changed")
		}
		return err
	}
	return nil
}

// sameFile compares what was shown of a file with what the snapshot has.
func (c *changes) sameFile(d *backing.Dir, a *backing.Attr, e *cvd.Entry) (bool, error) {
	const permissions = 0o777
	if a.Size != e.Size || a.Mode&permissions != e.Mode&permissions {
		return false, nil
	}
	attr, value, err := markAttr(d, e.Name)
	if err != nil {
		return false, err
	}
	held, err := scan.Streamed{Side: c.side}.File([]cvd.Xattr{{Name: attr, Value: value}}, a.Size)
	switch {
	case errors.Is(err, scan.ErrPlaceholder):
		return false, nil
	case err != nil:
		return false, err
	case held == nil:
		return a.Mtime == e.Mtime, nil
	}
	return held.Content.ID == e.Content.ID, nil
}

func (c *changes) note(path, what string) {
	c.found = append(c.found, printable(path)+" ("+what+")")
}

// namesOf are the names in a directory.
func namesOf(d *backing.Dir) (map[string]bool, error) {
	r, err := d.Read()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	names := map[string]bool{}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		names[e.Name] = true
	}
}

// markOf is the mark of what d holds under name, if it has one.
func markOf(d *backing.Dir, name string) (m backing.Mark, marked bool, err error) {
	_, value, err := markAttr(d, name)
	if err != nil || value == nil {
		return m, false, err
	}
	m, err = backing.DecodeMark(value)
	return m, true, err
}

// markAttr is the attribute that marks a placeholder; its value is nil if there is none.
func markAttr(d *backing.Dir, name string) (attr string, value []byte, err error) {
	b := make([]byte, 64<<10)
	for _, attr := range []string{"trusted.looming", "user.looming"} {
		if n, err := d.Getxattr(name, attr, b); err == nil {
			return attr, b[:n], nil
		}
	}
	return "", nil, nil
}
