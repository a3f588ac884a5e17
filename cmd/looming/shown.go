package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/looming-project/looming/pivot"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/durable"
)

// shown is the folder of the state directory that lists which work directories
// hold desktops of this machine: a file for each, with its path. It is for
// `looming status` and `looming agent`; the work directories say what is true.
type shown string

func (a *app) shown() shown { return shown(filepath.Join(a.dir, "shown")) }

func (s shown) file(work string) string {
	id := chunk.Sum([]byte(work)).String()
	return filepath.Join(string(s), id[:16])
}

func (s shown) add(work string) error {
	if err := durable.MkdirAll(string(s), 0o700); err != nil {
		return err
	}
	_ = os.Remove(s.nativeFile(work)) // no longer true, if there is one
	return durable.WriteFile(s.file(work), []byte(work), 0o600)
}

// remove forgets a work directory; what remains by mistake is skipped by all.
func (s shown) remove(work string) { _ = os.Remove(s.file(work)) }

// all are the work directories that are still there.
func (s shown) all() ([]string, error) {
	files, err := os.ReadDir(string(s))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var works []string
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(string(s), f.Name()))
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(filepath.Join(string(b), wantedFile)); err == nil {
			works = append(works, string(b))
		} else {
			s.remove(string(b))
		}
	}
	return works, nil
}

// works are the work directories that the arguments mean: targets, mount points'
// backing directories, or without any, all.
func (a *app) works(args []string) ([]string, error) {
	if len(args) == 0 {
		return a.shown().all()
	}
	works := make([]string, len(args))
	for i, arg := range args {
		path, err := filepath.Abs(arg)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(filepath.Join(path, wantedFile)); err == nil {
			works[i] = path
			continue
		}
		l, err := pivot.For(arg)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
		works[i] = l.Work
	}
	return works, nil
}
