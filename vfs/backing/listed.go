package backing

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/looming-project/looming/vfs/cvd"
)

// Inline says whether an entry's bytes are written when it is planted. They are
// not durable then, while a journal may keep the names: such a directory stays
// marked as listed until a sync.
func Inline(e *cvd.Entry) bool {
	return e.Type == cvd.File && e.Size > 0 && e.Size <= cvd.InlineMax
}

// ListedDir marks a directory of the tree in m as listed in this boot.
func (s *Store) ListedDir(d *Dir, m *Mark) error { return s.markListed(d, m, s.boot) }

// SuspectDir marks a listed directory as one to be repaired: a sync failed.
func (s *Store) SuspectDir(d *Dir, m *Mark) error { return s.markListed(d, m, ^s.boot|1<<63) }

func (s *Store) markListed(d *Dir, m *Mark, boot uint64) error {
	listed := Mark{Tree: m.Tree, Listed: boot}
	if err := d.Setxattr("", s.attr, listed.Encode(), 0); err != nil {
		return fmt.Errorf("marking a listed directory: %w", err)
	}
	return nil
}

// Native says whether a directory with the mark may be used: it was listed in this boot.
func (s *Store) Native(m *Mark) bool { return m.Listed == s.boot }

// Repair writes the bytes of an entry of a listed directory once more, which a
// power cut may have taken. What a user changed or removed has another time, or
// is gone, and is left as it is.
func (s *Store) Repair(d *Dir, e *cvd.Entry) error {
	if !Inline(e) {
		return nil
	}
	if err := s.repair(Ref{Dir: d, Name: e.Name}, e); err != nil {
		return &fs.PathError{Op: "repair", Path: e.Name, Err: err}
	}
	return nil
}

func (s *Store) repair(r Ref, e *cvd.Entry) error {
	a, err := r.Stat()
	if errors.Is(err, fs.ErrNotExist) || err == nil && (a.Type != cvd.File || a.Mtime != e.Mtime) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := r.OpenFile(os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(e.Content.Inline, 0); err != nil {
		return err
	}
	if err := f.Truncate(e.Size); err != nil {
		return err
	}
	for _, x := range e.Xattrs { // the write took capabilities away
		if x.Name == capabilities {
			if err := s.permit(f.Setxattr(x.Name, x.Value)); err != nil {
				return err
			}
		}
	}
	return f.SetMtime(e.Mtime)
}
