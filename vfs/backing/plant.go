package backing

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/looming-project/looming/vfs/cvd"
)

// Modes of entries that are not complete yet: a crash may leave them in a
// directory that still has its mark, and planting takes them for its own.
const (
	rawFile = 0o200
	rawDir  = 0o300
)

// Plant makes an entry in a directory that is being listed: a placeholder, or at
// once native where the tree holds all of it. What is there already, complete,
// stays as it is: listing again after a crash undoes nothing.
func (s *Store) Plant(d *Dir, e *cvd.Entry) error { return s.plant(d, e, false) }

// PlantFreed is Plant in a directory with a default ACL, as InheritsACL says:
// what an entry inherits is not its own, and is taken from it again.
func (s *Store) PlantFreed(d *Dir, e *cvd.Entry) error { return s.plant(d, e, true) }

func (s *Store) plant(d *Dir, e *cvd.Entry, free bool) error {
	var err error
	switch {
	case e.Type == cvd.Dir:
		err = s.plantDir(d, e)
	case e.Group != 0:
		err = s.plantGrouped(d, e)
	default:
		err = s.plantSingle(d, e)
	}
	if err == nil && free && e.Type != cvd.Symlink {
		err = disinherit(Ref{Dir: d, Name: e.Name}, e)
	}
	if err != nil {
		return &fs.PathError{Op: "list", Path: e.Name, Err: err}
	}
	return nil
}

// The ACLs that an entry inherits.
const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// InheritsACL says whether what is made in d inherits an ACL.
func (s *Store) InheritsACL(d *Dir) bool {
	_, err := d.Getxattr("", defaultACL, nil)
	return err == nil
}

// disinherit takes the ACLs away that the tree does not have. The mode comes
// after: an ACL's mask is a part of it.
func disinherit(r Ref, e *cvd.Entry) error {
	own := map[string]bool{}
	for _, x := range e.Xattrs {
		own[x.Name] = true
	}
	for _, acl := range []string{accessACL, defaultACL} {
		if own[acl] || acl == defaultACL && e.Type != cvd.Dir {
			continue
		}
		if err := r.Removexattr(acl); err != nil && !isNoAttr(err) {
			return fmt.Errorf("inherited ACL: %w", err)
		}
	}
	return r.Chmod(e.Mode)
}

func (s *Store) plantSingle(d *Dir, e *cvd.Entry) error {
	if e.Type == cvd.File {
		return s.plantFile(d, e)
	}
	var err error
	if e.Type == cvd.Symlink {
		err = d.Symlink(e.Target, e.Name)
	} else {
		err = d.Mknod(e.Name, e.Type, rawFile, e.Major, e.Minor)
	}
	if s.lenient && isRefused(err) && (e.Type == cvd.CharDevice || e.Type == cvd.BlockDevice) {
		return nil
	}
	if err != nil && !isExist(err) {
		return err
	}
	return s.dress(Ref{Dir: d, Name: e.Name}, e)
}

// plantGrouped makes a name of a hard-linked file: the first makes the file and
// an extra name in the state directory, by which the others find it.
func (s *Store) plantGrouped(d *Dir, e *cvd.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	group := fmt.Sprintf("%016x", e.Group)
	err := s.linksDir.Link(group, d, e.Name)
	if err == nil || isExist(err) {
		if _, missing := s.linksDir.Stat(group); missing == nil {
			return nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.plantSingle(d, e); err != nil {
		return err
	}
	if err := d.Link(e.Name, s.linksDir, group); err != nil {
		return err
	}
	a, err := s.linksDir.Stat(group)
	s.linked[a.Ino] = struct{}{}
	return err
}

func (s *Store) plantDir(d *Dir, e *cvd.Entry) error {
	ref := Ref{Dir: d, Name: e.Name}
	if err := d.Mkdir(e.Name, rawDir); isExist(err) {
		if a, err := ref.Stat(); err != nil || a.Type != cvd.Dir || a.Mode != rawDir {
			return err
		}
	} else if err != nil {
		return err
	}
	if e.Sums.Files+e.Sums.Dirs > 0 {
		m := Mark{Tree: e.Tree, Mtime: e.Mtime, Timed: true}
		if err := ref.Setxattr(s.attr, m.Encode(), 0); err != nil {
			return fmt.Errorf("marking a placeholder: %w", err)
		}
	}
	return s.dress(ref, e)
}

func (s *Store) plantFile(d *Dir, e *cvd.Entry) error {
	f, err := d.OpenFile(e.Name, os.O_CREATE|os.O_EXCL|os.O_RDWR, rawFile)
	if isExist(err) {
		ref := Ref{Dir: d, Name: e.Name}
		if a, err := ref.Stat(); err != nil || a.Type != cvd.File || a.Mode != rawFile {
			return err
		}
		f, err = ref.OpenFile(os.O_RDWR | os.O_TRUNC)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.fillPlanted(f, e); err != nil {
		return err
	}
	return s.dressFile(f, e)
}

func (s *Store) fillPlanted(f *File, e *cvd.Entry) error {
	if e.Size <= cvd.InlineMax {
		if e.Size == 0 {
			return nil
		}
		_, err := f.WriteAt(e.Content.Inline, 0)
		return err
	}
	m, err := s.NewMark(e)
	if err != nil {
		return err
	}
	if err := s.SetFileMark(f, &m); err != nil {
		return err
	}
	return f.Truncate(e.Size)
}

// dressFile sets what a file has besides its bytes. The mode comes after all
// that must not be missing, the times last.
func (s *Store) dressFile(f *File, e *cvd.Entry) error {
	if e.UID != 0 || e.GID != 0 || s.lenient {
		if err := s.permit(f.Chown(int(e.UID), int(e.GID))); err != nil {
			return err
		}
	}
	for _, x := range e.Xattrs {
		if s.Hidden(x.Name) {
			continue // it would be taken for a mark
		}
		if err := s.permit(f.Setxattr(x.Name, x.Value)); err != nil {
			return fmt.Errorf("extended attribute %s: %w", x.Name, err)
		}
	}
	if err := f.SetMtime(e.Mtime); err != nil {
		return err
	}
	return f.Chmod(e.Mode)
}

// dress does the same for what cannot be opened.
func (s *Store) dress(r Ref, e *cvd.Entry) error {
	if e.UID != 0 || e.GID != 0 || s.lenient {
		if err := s.permit(r.Chown(int(e.UID), int(e.GID))); err != nil {
			return err
		}
	}
	for _, x := range e.Xattrs {
		if s.Hidden(x.Name) {
			continue // it would be taken for a mark
		}
		if err := s.permit(r.Setxattr(x.Name, x.Value, 0)); err != nil {
			return fmt.Errorf("extended attribute %s: %w", x.Name, err)
		}
	}
	if err := r.SetTimes(cvd.Time{Nsec: TimeOmit}, e.Mtime); err != nil || e.Type == cvd.Symlink {
		return err
	}
	return r.Chmod(e.Mode)
}

// Dress sets the attributes of the top directory itself.
func (s *Store) Dress(e *cvd.Entry) error { return s.dress(Ref{Dir: s.Top}, e) }

// permit forgives what a user other than root may not do.
func (s *Store) permit(err error) error {
	if s.lenient && isRefused(err) {
		return nil
	}
	return err
}

// MarkTop makes the backing directory a placeholder for tree, if it is empty.
func (s *Store) MarkTop(top *cvd.Entry) error {
	r, err := s.Top.Read()
	if err != nil {
		return err
	}
	defer r.Close()
	if e, err := r.Next(); err == nil {
		return fmt.Errorf("the backing directory is not empty: it holds %q", e.Name)
	}
	m := Mark{Tree: top.Tree, Mtime: top.Mtime, Timed: true}
	if err := s.Top.Setxattr("", s.attr, m.Encode(), 0); err != nil {
		return fmt.Errorf("marking the backing directory: %w", err)
	}
	return s.Dress(top)
}
