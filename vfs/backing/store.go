package backing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
)

// Folders of the state directory.
const (
	sideContents = "contents"
	sidePartial  = "partial"
	sideLinks    = "links"
)

// Store is a backing directory with its state directory.
type Store struct {
	// Top is the backing directory itself.
	Top  *Dir
	attr string
	side string
	fs   *durable.FS
	boot uint64
	// since is when the backing directory was begun, in seconds since 1970: times
	// before it are the desktop's own.
	since int64
	// lenient skips what only a superuser may set.
	lenient bool

	// mu guards the hard-link groups: linked is the inodes that have a name in the
	// state directory, and planting a grouped file is done under it.
	mu       sync.Mutex
	linked   map[uint64]struct{}
	linksDir *Dir
}

// Open opens the backing directory at dir, with its state directory at side; both
// are made where they are missing. They must lie on one file system.
func Open(dir, side string) (*Store, error) {
	for _, d := range []string{dir, filepath.Join(side, sideContents), filepath.Join(side, sidePartial), filepath.Join(side, sideLinks)} {
		if err := durable.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("backing directory: %w", err)
		}
	}
	s := &Store{side: side, linked: map[uint64]struct{}{}, lenient: os.Geteuid() != 0, boot: Boot()}
	err := s.open(dir)
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) open(dir string) (err error) {
	if s.Top, err = OpenDir(dir); err != nil {
		return err
	}
	if s.linksDir, err = OpenDir(filepath.Join(s.side, sideLinks)); err != nil {
		return err
	}
	if s.fs, err = durable.OpenFS(dir); err != nil {
		return err
	}
	if err := s.sameFS(); err != nil {
		return err
	}
	if err := s.chooseAttr(); err != nil {
		return err
	}
	return s.readLinks()
}

func (s *Store) sameFS() error {
	a, err := s.Top.device()
	if err != nil {
		return err
	}
	b, err := s.linksDir.device()
	if err == nil && a != b {
		err = fmt.Errorf("the backing directory and %s lie on different file systems: put them on one", s.side)
	}
	return err
}

// attrFile in the state directory says under which name marks are kept.
const attrFile = "marks"

// attrNames are where marks can be kept. Users other than root may not set
// trusted attributes; then marks are visible to whoever looks beneath.
var attrNames = []string{"trusted.looming", "user.looming"}

// chooseAttr finds out under which name marks are kept: the one that was chosen
// when the backing directory was begun, or the first that the disk takes. Another
// user must not take placeholders for files because their marks have another name.
func (s *Store) chooseAttr() error {
	path := filepath.Join(s.side, attrFile)
	b, err := os.ReadFile(path)
	if err == nil {
		return s.tryAttr(strings.TrimSpace(string(b)))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range attrNames {
		if err = s.tryAttr(name); err == nil {
			return durable.WriteFile(path, []byte(name+"\n"), 0o600)
		}
	}
	return err
}

// tryAttr takes a name if the disk takes it from this user.
func (s *Store) tryAttr(name string) error {
	if !s.Hidden(name) {
		return fmt.Errorf("%s says that marks are kept as %q, which this version does not know", filepath.Join(s.side, attrFile), name)
	}
	if err := s.linksDir.Setxattr("", name, []byte{0}, 0); err != nil {
		return fmt.Errorf("placeholders are marked by the extended attribute %s, which cannot be set in %s (another user may have begun here, or the file system has none): %w", name, s.side, err)
	}
	s.attr = name
	return s.linksDir.Removexattr("", name)
}

func (s *Store) readLinks() error {
	r, err := s.linksDir.Read()
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if errors.Is(err, errEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.linked[e.Ino] = struct{}{}
	}
}

// Close closes what Open opened.
func (s *Store) Close() error {
	var errs []error
	for _, d := range []*Dir{s.Top, s.linksDir} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	if s.fs != nil {
		errs = append(errs, s.fs.Close())
	}
	return errors.Join(errs...)
}

// Hidden says whether an extended attribute is Looming's own and not the desktop's.
func (s *Store) Hidden(attr string) bool { return slices.Contains(attrNames, attr) }

// Sync makes all that was done in the backing directory durable.
func (s *Store) Sync() error { return s.fs.Sync() }

// Adjust makes of what the disk says about an entry what the desktop has: the
// time of a placeholder that is being filled, or was when the process died, and
// a link count without the state directory's own name.
func (s *Store) Adjust(r Ref, a *Attr) {
	if a.Mtime.Sec >= s.since && (a.Type == cvd.File || a.Type == cvd.Dir) {
		if m, ok, err := s.MarkOf(r); err == nil && ok && m.Timed {
			a.Mtime = m.Mtime
		}
	}
	s.AdjustNative(a)
}

// AdjustNative is Adjust for what has no mark.
func (s *Store) AdjustNative(a *Attr) {
	if a.Type == cvd.File && a.Blocks == 0 {
		a.Blocks = (a.Size + 511) / 512 // tar and others take a file without blocks for zeros, unread
	}
	if a.Nlink < 3 || a.Type == cvd.Dir { // with one name listed, the others exist all the same
		return
	}
	s.mu.Lock()
	if _, ok := s.linked[a.Ino]; ok {
		a.Nlink--
	}
	s.mu.Unlock()
}

// MarkOf reads an entry's mark; ok is false for what is native.
func (s *Store) MarkOf(r Ref) (m Mark, ok bool, err error) {
	return s.readMark(func(b []byte) (int, error) { return r.Getxattr(s.attr, b) })
}

// FileMark reads the mark of an open file.
func (s *Store) FileMark(f *File) (m Mark, ok bool, err error) {
	return s.readMark(func(b []byte) (int, error) { return f.Getxattr(s.attr, b) })
}

func (s *Store) readMark(get func([]byte) (int, error)) (m Mark, ok bool, err error) {
	buf := make([]byte, 128)
	n, err := get(buf)
	if isRange(err) {
		buf = make([]byte, 4<<10)
		n, err = get(buf)
	}
	if isNoAttr(err) {
		return m, false, nil
	}
	if err != nil {
		return m, false, fmt.Errorf("reading the placeholder mark: %w", err)
	}
	if m, err = DecodeMark(buf[:n]); err == nil && m.External {
		err = ReadContent(s.side, &m)
	}
	return m, true, err
}

// SetFileMark puts a mark on an open file.
func (s *Store) SetFileMark(f *File, m *Mark) error {
	if err := f.Setxattr(s.attr, m.Encode()); err != nil {
		return fmt.Errorf("marking a placeholder: %w", err)
	}
	return nil
}

// ClearFile makes an open file native.
func (s *Store) ClearFile(f *File) error { return clear(f.Removexattr(s.attr)) }

// ClearDir makes a directory native: listed.
func (s *Store) ClearDir(d *Dir) error { return clear(d.Removexattr("", s.attr)) }

func clear(err error) error {
	if err == nil || isNoAttr(err) {
		return nil
	}
	return fmt.Errorf("removing a placeholder mark: %w", err)
}

// contentPath is where the content of a very long file lies.
func contentPath(side string, id chunk.ID) string {
	return filepath.Join(side, sideContents, id.String())
}

// ReadContent completes the mark of a very long file from the state directory at side.
func ReadContent(side string, m *Mark) error {
	path := contentPath(side, m.Content.ID)
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("content of a placeholder: %w", err)
	}
	size, c, err := cvd.DecodeContent(b)
	if err == nil && (size != m.Size || c.ID != m.Content.ID) {
		err = fmt.Errorf("it belongs to another file")
	}
	if err != nil {
		return fmt.Errorf("content of a placeholder: %s: %w", path, err)
	}
	m.Content = c
	return nil
}

// capabilities is the attribute that the kernel removes when a file is written;
// capsMax is more than any version of it takes.
const (
	capabilities = "security.capability"
	capsMax      = 64
)

// RestoreCaps sets the capabilities again that a mark holds, after a write.
func (s *Store) RestoreCaps(f *File, m *Mark) error {
	if len(m.Caps) == 0 {
		return nil
	}
	return s.permit(f.Setxattr(capabilities, m.Caps))
}

// IsCaps says whether an attribute is one that writing removes.
func IsCaps(attr string) bool { return attr == capabilities }

// NewMark makes the mark for a file; content too long for it goes to the state directory.
func (s *Store) NewMark(e *cvd.Entry) (Mark, error) {
	c := &e.Content
	m := Mark{Size: e.Size, Content: *c, Sparse: e.Sparse, Mtime: e.Mtime, Timed: true}
	for _, x := range e.Xattrs {
		if x.Name == capabilities && len(x.Value) <= capsMax {
			m.Caps = x.Value
		}
	}
	b := cvd.EncodeContent(e.Size, c)
	if len(b) <= markMax {
		return m, nil
	}
	m.External = true
	path := contentPath(s.side, c.ID)
	if _, err := os.Stat(path); err == nil {
		return m, nil
	}
	return m, durable.WriteFile(path, b, 0o600)
}

// Finish removes the state directory. It is for a desktop in which Remaining found nothing.
func (s *Store) Finish() error { return durable.RemoveAll(s.side) }

// Remaining walks the whole backing directory and calls found for everything that is not native.
func (s *Store) Remaining(ctx context.Context, found func(path string, m Mark) error) error {
	top, err := s.Top.Reopen()
	if err != nil {
		return err
	}
	defer top.Close()
	return s.remaining(ctx, top, nil, found)
}

func (s *Store) remaining(ctx context.Context, d *Dir, path []string, found func(string, Mark) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m, ok, err := s.MarkOf(Ref{Dir: d}); err != nil || ok {
		if err != nil {
			return fmt.Errorf("%s: %w", strings.Join(path, "/"), err)
		}
		return found(strings.Join(path, "/"), m)
	}
	r, err := d.Read()
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if errors.Is(err, errEOF) {
			return nil
		}
		if err == nil {
			err = s.remainingEntry(ctx, d, e, append(path, e.Name), found)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Store) remainingEntry(ctx context.Context, d *Dir, e DirEntry, path []string, found func(string, Mark) error) error {
	switch e.Type {
	case cvd.Dir:
		sub, err := d.Open(e.Name)
		if err != nil {
			return err
		}
		defer sub.Close()
		return s.remaining(ctx, sub, path, found)
	case cvd.File:
		m, ok, err := s.MarkOf(Ref{Dir: d, Name: e.Name})
		if err != nil {
			return fmt.Errorf("%s: %w", strings.Join(path, "/"), err)
		}
		if ok {
			return found(strings.Join(path, "/"), m)
		}
	}
	return nil
}
