package backing

import (
	"encoding/binary"
	"errors"
	"io"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Reader lists a directory in the disk's own order, in bounded memory. It has
// the directory open once more. Positions count entries: Windows has no others.
type Reader struct {
	dir      *Dir
	buf      []byte
	at       int
	full     bool
	begun    bool
	position int64
}

// Read returns a Reader at the start of d.
func (d *Dir) Read() (*Reader, error) {
	again, err := d.Reopen()
	if err != nil {
		return nil, err
	}
	words := make([]uint64, 8<<10) // the records are aligned to 8 bytes
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words))
	return &Reader{dir: again, buf: buf}, nil
}

// Dir is the directory, as the Reader has it open.
func (r *Reader) Dir() *Dir { return r.dir }

// Close closes the Reader.
func (r *Reader) Close() error { return r.dir.Close() }

// SeekTo goes to where an earlier entry's Next said, or to the start with 0.
func (r *Reader) SeekTo(position int64) error {
	if position < r.position {
		r.at, r.full, r.begun, r.position = 0, false, false, 0
	}
	for r.position < position {
		if _, err := r.next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Offsets in FILE_ID_BOTH_DIR_INFO.
const (
	infoNext       = 0
	infoAttributes = 56
	infoNameLen    = 60
	infoTag        = 64 // the size of extended attributes, or a reparse point's tag
	infoID         = 96
	infoName       = 104
)

// Next returns the next entry but "." and "..", or io.EOF.
func (r *Reader) Next() (DirEntry, error) {
	for {
		e, err := r.next()
		if err != nil || e.Name != "." && e.Name != ".." {
			return e, err
		}
	}
}

func (r *Reader) next() (DirEntry, error) {
	if !r.full {
		if err := r.fill(); err != nil {
			return DirEntry{}, err
		}
	}
	b := r.buf[r.at:]
	name := make([]uint16, binary.LittleEndian.Uint32(b[infoNameLen:])/2)
	for i := range name {
		name[i] = binary.LittleEndian.Uint16(b[infoName+2*i:])
	}
	r.position++
	if step := binary.LittleEndian.Uint32(b[infoNext:]); step == 0 {
		r.full = false
	} else {
		r.at += int(step)
	}
	return DirEntry{
		Name: windows.UTF16ToString(name), Ino: binary.LittleEndian.Uint64(b[infoID:]), Next: r.position,
		Type: typeOfAttributes(binary.LittleEndian.Uint32(b[infoAttributes:]), binary.LittleEndian.Uint32(b[infoTag:])),
	}, nil
}

func (r *Reader) fill() error {
	class := uint32(windows.FileIdBothDirectoryInfo)
	if !r.begun {
		class = windows.FileIdBothDirectoryRestartInfo
	}
	err := windows.GetFileInformationByHandleEx(r.dir.h, class, &r.buf[0], uint32(len(r.buf)))
	if errors.Is(err, windows.ERROR_NO_MORE_FILES) || errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
		return io.EOF
	}
	r.at, r.full, r.begun = 0, err == nil, true
	return err
}
