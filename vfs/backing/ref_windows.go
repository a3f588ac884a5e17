package backing

import (
	"os"

	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sys/windows"
)

// Ref is where an entry is: a name in a directory, or a Pin that holds it
// without a name. Its methods never follow a reparse point.
type Ref struct {
	Dir  *Dir
	Name string
	Pin  *Pin
}

// Pin is an entry held whatever becomes of its names. Once its last name is
// gone, Windows opens it no more; what is open goes on.
type Pin struct{ d Dir }

// Hold holds on to the entry.
func (r Ref) Hold() (*Pin, error) {
	h, err := ntOpen(r.Dir.h, r.Name, forAttr, 0, windows.FILE_OPEN, 0)
	if err != nil {
		return nil, err
	}
	return &Pin{Dir{h}}, nil
}

// Close lets go.
func (p *Pin) Close() error { return p.d.Close() }

// at is the directory and name for a call: a pin is its own.
func (r Ref) at() (*Dir, string) {
	if r.Pin != nil {
		return &r.Pin.d, ""
	}
	return r.Dir, r.Name
}

// Stat says what the entry is.
func (r Ref) Stat() (Attr, error) {
	d, name := r.at()
	return d.Stat(name)
}

// OpenFile opens the file.
func (r Ref) OpenFile(flags int) (*File, error) {
	d, name := r.at()
	return d.OpenFile(name, flags&^(os.O_CREATE|os.O_EXCL), 0o644)
}

// Chmod sets what Windows has of the permission bits.
func (r Ref) Chmod(mode uint32) error {
	d, name := r.at()
	return d.Chmod(name, mode)
}

// Chown does nothing: see Dir.Chown.
func (r Ref) Chown(int, int) error { return nil }

// SetTimes sets the access and modification times.
func (r Ref) SetTimes(atime, mtime cvd.Time) error {
	d, name := r.at()
	return d.SetTimes(name, atime, mtime)
}

// Link gives the entry another name.
func (r Ref) Link(to *Dir, name string) error {
	d, old := r.at()
	return d.Link(old, to, name)
}

// Readlink returns where a symlink points to.
func (r Ref) Readlink() (string, error) {
	d, name := r.at()
	return d.Readlink(name)
}

// Getxattr reads the mark.
func (r Ref) Getxattr(attr string, dest []byte) (int, error) {
	d, name := r.at()
	return d.Getxattr(name, attr, dest)
}

// Setxattr sets the mark.
func (r Ref) Setxattr(attr string, value []byte, flags int) error {
	d, name := r.at()
	return d.Setxattr(name, attr, value, flags)
}

// Listxattr lists nothing: see Dir.Listxattr.
func (r Ref) Listxattr([]byte) (int, error) { return 0, nil }

// Removexattr removes the mark.
func (r Ref) Removexattr(attr string) error {
	d, name := r.at()
	return d.Removexattr(name, attr)
}

// OpenDir opens a pinned directory.
func (p *Pin) OpenDir() (*Dir, error) { return p.d.Reopen() }
