package cvd

import (
	"errors"
	"fmt"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
)

// ErrFormat says that bytes are not a canonical node.
var ErrFormat = errors.New("not a canonical tree node")

// Limits of the format.
const (
	// InlineMax is the largest file, in bytes, whose content lives in the tree node.
	InlineMax = 2 << 10
	// NameMax is the longest name of an entry, in bytes (Windows: 255 UTF-16 units).
	NameMax = 1024
	// EntryMax is the largest encoding of one entry, extended attributes included.
	EntryMax = 512 << 10
	// ListMax is the number of chunks that one list chunk names.
	ListMax = 1024
	// InEntryMax is the number of chunks up to which the entry names them itself.
	InEntryMax = 16
)

// Type is what an entry is.
type Type uint8

// The types of entries. The numbers are part of the format.
const (
	File Type = iota + 1
	Dir
	Symlink
	CharDevice
	BlockDevice
	Fifo
	Socket
)

var typeNames = [...]string{"?", "file", "directory", "symlink", "character device", "block device", "fifo", "socket"}

func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Entry is one name in a directory with all that a file system holds about it.
// What does not belong to its Type (a size of a symlink, say) is not encoded.
type Entry struct {
	// Name is bytes, not text: no slash, no NUL, not "." or "..".
	Name string
	Type Type
	// Mode is the permission bits with setuid (04000), setgid (02000) and sticky (01000).
	Mode     uint32
	UID, GID uint32
	Mtime    Time
	// Size is a file's length in bytes.
	Size uint64
	// Sparse says that the file had holes: runs of zeros may be written as holes.
	Sparse bool
	// Content is a file's bytes.
	Content Content
	// Tree is a directory's node, Sums what lies below it.
	Tree chunk.ID
	Sums Sums
	// Target is where a symlink points to.
	Target string
	// Major and Minor are a device's numbers.
	Major, Minor uint32
	// Group is equal for all names of one hard-linked file within a Root, and 0
	// for a file with one name: the first eight bytes, big-endian, of the
	// BLAKE3 of the path of its first name in canonical order (see LinkGroup).
	Group uint64
	// Xattrs are the extended attributes, POSIX ACLs and capabilities included, sorted by name.
	Xattrs []Xattr
	// Windows is what only Windows file systems hold; nil where there is nothing.
	Windows *Windows
}

// Content is one file's bytes. Exactly one form is used: Inline for files of up
// to InlineMax bytes; ID alone for files that are one chunk; ID and Chunks for
// the others.
type Content struct {
	// ID is the BLAKE3-256 of the whole file. It is not encoded for inline files.
	ID chunk.ID
	// Inline is the file itself.
	Inline []byte
	// Chunks are the file's chunks in order, or where Listed is set, the list
	// chunks that name them: each encodes up to ListMax refs (see EncodeList).
	Chunks []Ref
	Listed bool
}

// Ref is a chunk and how many plain bytes of the file it stands for.
type Ref struct {
	ID   chunk.ID
	Size uint64
}

// FileID returns the BLAKE3-256 of a file's bytes.
func (e *Entry) FileID() chunk.ID {
	if e.Size <= InlineMax {
		return chunk.Sum(e.Content.Inline)
	}
	return e.Content.ID
}

// Xattr is an extended attribute.
type Xattr struct {
	Name  string
	Value []byte
}

// Windows is what NTFS holds about an entry besides what POSIX knows.
type Windows struct {
	// Attributes are FILE_ATTRIBUTE_* bits.
	Attributes uint32
	// Created is the creation time in 100 ns since 1601.
	Created uint64
	// Security is a self-relative security descriptor.
	Security []byte
	// Reparse is the reparse data buffer of an entry that is a reparse point.
	Reparse []byte
	// ShortName is the 8.3 name, empty if there is none.
	ShortName string
	// Streams are the alternate data streams, sorted by name.
	Streams []Stream
}

// Stream is an alternate data stream: named like an xattr, with content like a file.
type Stream struct {
	Name    string
	Size    uint64
	Content Content
}

// Time is a modification time: seconds since 1970, possibly negative, and nanoseconds.
type Time struct {
	Sec  int64
	Nsec uint32
}

// TimeOf converts from the standard library's time.
func TimeOf(t time.Time) Time { return Time{t.Unix(), uint32(t.Nanosecond())} }

// Std converts to the standard library's time.
func (t Time) Std() time.Time { return time.Unix(t.Sec, int64(t.Nsec)) }

// Sums says what lies below a directory, itself not counted. A hard-linked
// file counts once for every name.
type Sums struct {
	// Files counts entries that are not directories, Dirs directories.
	Files, Dirs uint64
	// Bytes is the length of all files together.
	Bytes uint64
}

// Add adds the sums of one more entry: itself and what is below it.
func (s *Sums) Add(e *Entry) {
	switch e.Type {
	case Dir:
		s.Dirs++
		s.Plus(e.Sums)
	case File:
		s.Files++
		s.Bytes += e.Size
	default:
		s.Files++
	}
}

// Plus adds o.
func (s *Sums) Plus(o Sums) {
	s.Files += o.Files
	s.Dirs += o.Dirs
	s.Bytes += o.Bytes
}

// LinkGroup returns the hard-link group of a file whose first name in canonical
// order (depth first, names sorted by bytes) is path: slash-separated, relative
// to the root, without a leading slash.
func LinkGroup(path string) uint64 {
	id := chunk.Sum([]byte(path))
	var g uint64
	for _, b := range id[:8] {
		g = g<<8 | uint64(b)
	}
	if g == 0 {
		return 1
	}
	return g
}
