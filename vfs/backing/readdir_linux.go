package backing

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sys/unix"
)

// Reader lists a directory in the disk's own order, in bounded memory. It has
// the directory open once more, at a position of its own.
type Reader struct {
	dir      *Dir
	buf      []byte
	at, end  int
	position int64
}

// Read returns a Reader at the start of d.
func (d *Dir) Read() (*Reader, error) {
	again, err := d.Reopen()
	if err != nil {
		return nil, err
	}
	return &Reader{dir: again, buf: make([]byte, 32<<10)}, nil
}

// Dir is the directory, as the Reader has it open.
func (r *Reader) Dir() *Dir { return r.dir }

// Close closes the Reader.
func (r *Reader) Close() error { return r.dir.Close() }

// SeekTo goes to where an earlier entry's Next said, or to the start with 0.
func (r *Reader) SeekTo(position int64) error {
	if position == r.position {
		return nil
	}
	_, err := unix.Seek(r.dir.fd, position, io.SeekStart)
	r.at, r.end, r.position = 0, 0, position
	return err
}

// dirTypes maps DT_ numbers, which are the mode's type bits shifted.
func dirType(t byte) cvd.Type { return typeOf(uint32(t) << 12) }

// Offsets in struct linux_dirent64.
const (
	direntNext = 8
	direntLen  = 16
	direntType = 18
	direntName = 19
)

// Next returns the next entry but "." and "..", or io.EOF.
func (r *Reader) Next() (DirEntry, error) {
	for {
		if r.at == r.end {
			n, err := retryInt(func() (int, error) { return unix.Getdents(r.dir.fd, r.buf) })
			if err != nil {
				return DirEntry{}, err
			}
			if n == 0 {
				return DirEntry{}, io.EOF
			}
			r.at, r.end = 0, n
		}
		if e, ok := r.parse(); ok {
			return e, nil
		}
	}
}

func (r *Reader) parse() (DirEntry, bool) {
	b := r.buf[r.at:r.end]
	size := int(binary.NativeEndian.Uint16(b[direntLen:]))
	r.at += size
	name := b[direntName:size]
	name = name[:bytes.IndexByte(name, 0)]
	e := DirEntry{
		Ino:  binary.NativeEndian.Uint64(b),
		Next: int64(binary.NativeEndian.Uint64(b[direntNext:])),
		Type: dirType(b[direntType]),
	}
	r.position = e.Next
	if string(name) == "." || string(name) == ".." {
		return e, false
	}
	e.Name = string(name)
	return e, true
}
