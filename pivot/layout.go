package pivot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Layout is the names that belong to a target. All but Target are Looming's own.
type Layout struct {
	Target  string // the desktop, absolute; its parent has no symbolic links
	Work    string // .NAME.looming beside it
	Backing string // in Work: becomes Target
	Old     string // in Work: what was at Target before
	Mark    string // in Work: which directory is the new desktop
	Journal string // in Work: what was meant, for people
	Lock    string // in Work: held by the one process that pivots
	Waste   string // beside Target: a retired Work that is being removed
}

// For returns the layout for a target. It does not touch the target itself, which may be a mount whose server is
// dead, except to refuse a symbolic link.
func For(target string) (Layout, error) {
	abs, err := filepath.Abs(target)
	if err != nil {
		return Layout{}, err
	}
	dir, name := filepath.Dir(abs), filepath.Base(abs)
	if dir == abs {
		return Layout{}, fmt.Errorf("%s: the root of a file system has no name that could be switched; name a directory in it", abs)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return Layout{}, fmt.Errorf("the directory that is to hold %s: %w", name, err)
	}
	l := Layout{Target: filepath.Join(dir, name), Work: filepath.Join(dir, "."+name+".looming")}
	if to, err := os.Readlink(l.Target); err == nil && !mountIsLink {
		return Layout{}, fmt.Errorf("%s is a symbolic link to %s; name that directory itself", l.Target, to)
	}
	l.Backing = filepath.Join(l.Work, "backing")
	l.Old = filepath.Join(l.Work, "old")
	l.Mark = filepath.Join(l.Work, "pivot.mark")
	l.Journal = filepath.Join(l.Work, "pivot.journal")
	l.Lock = filepath.Join(l.Work, "pivot.lock")
	l.Waste = l.Work + ".done"
	return l, nil
}

// content looks at what a name holds. What is not a directory counts as content, since it is in the way of a rename
// and may be of worth to somebody.
func content(path string) (Content, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Missing, nil
	}
	if err != nil {
		return Missing, err
	}
	if !info.IsDir() {
		return Full, nil
	}
	d, err := os.Open(path)
	if err != nil {
		return Missing, err
	}
	defer d.Close()
	return contentOf(d)
}

func contentOf(d *os.File) (Content, error) {
	names, err := d.Readdirnames(1)
	if len(names) > 0 {
		return Full, nil
	}
	if errors.Is(err, io.EOF) {
		return Empty, nil
	}
	return Missing, err
}
