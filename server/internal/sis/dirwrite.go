package sis

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/looming-project/looming/vfs/durable"
)

// dirFile is a pack that grows in incoming/<owner>, where Sweep finds it.
type dirFile struct {
	*durable.File
	v     *dirVolume
	aside string
	path  string
	done  bool
}

// Create makes the owner's directory too, which stays until Sweep finds its owner dead.
func (v *dirVolume) Create(owner string, name PackName) (PackFile, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	f := &dirFile{v: v, aside: filepath.Join(v.dir, incoming, owner), path: v.path(name)}
	for _, dir := range []string{f.aside, filepath.Dir(f.path)} {
		if err := durable.MkdirAll(dir, 0o750); err != nil {
			return nil, fmt.Errorf("volume %s: %w", v.url, err)
		}
	}
	var err error
	if f.File, err = durable.Create(filepath.Join(f.aside, filepath.Base(f.path))); err != nil {
		return nil, fmt.Errorf("volume %s: %w", v.url, err)
	}
	return f, nil
}

func (f *dirFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err != nil {
		return n, fmt.Errorf("volume %s: %w", f.v.url, err)
	}
	return n, nil
}

// Commit makes the bytes durable beside their place and then moves them there,
// so that what lies under packs is always whole.
func (f *dirFile) Commit() error {
	err := f.File.Commit()
	if err == nil {
		err = durable.Rename(f.File.Name(), f.path)
	}
	if err != nil {
		f.Abort()
		return fmt.Errorf("volume %s: %w", f.v.url, err)
	}
	f.done = true
	return nil
}

// Abort drops what was written. What cannot be removed stays for Sweep.
func (f *dirFile) Abort() {
	if f.done {
		return
	}
	f.done = true
	f.File.Abort()
	_ = os.Remove(f.File.Name())
}

func (v *dirVolume) Sweep(dead func(owner string) bool) error {
	if err := v.check(); err != nil {
		return err
	}
	owners, err := os.ReadDir(filepath.Join(v.dir, incoming))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, o := range owners {
		if dead(o.Name()) {
			err = errors.Join(err, durable.RemoveAll(filepath.Join(v.dir, incoming, o.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("volume %s: sweep: %w", v.url, err)
	}
	return nil
}
