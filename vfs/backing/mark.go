package backing

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// ErrMark says that a mark is not one that this version understands. The entry
// is not served, so that no holes are taken for its content.
var ErrMark = errors.New("unknown placeholder mark")

// Mark says that an entry is a placeholder, and of what.
type Mark struct {
	// Tree is a directory's node, set if the directory is not listed yet.
	Tree chunk.ID
	// Listed is the boot in which the directory was listed, if it was: its entries
	// are there, and it is native as long as that boot lasts. After a power cut the
	// bytes that its node held may be missing in files (see Repair).
	Listed uint64
	// Size and Content are a file's.
	Size    uint64
	Content cvd.Content
	// Sparse says that runs of zeros may stay holes.
	Sparse bool
	// Caps is the file's capabilities (the security.capability attribute). The
	// kernel takes them off with every write, so they are set again behind what is
	// fetched, also where a crash came between.
	Caps []byte
	// Mtime is the entry's time, if Timed is set: what is fetched changes it, and
	// it is set again, also where a crash came between. Where the user changes the
	// entry its time is the disk's.
	Mtime cvd.Time
	Timed bool
	// External says that the content lies in the state directory, for only Content.ID is here.
	External bool
	// Tag names the log of present ranges in the state directory, 0 if there is none.
	Tag uint64
}

// Kinds of marks, with the version in the high bits.
const (
	markTree = 0x10 + iota
	markSingle
	markRanged
	markExternal
	markListed
	sparseBit = 0x80
	capsBit   = 0x40
	timeBit   = 0x20
)

// markMax is the longest content, in bytes, that a mark holds itself: with the
// other attributes it has to fit into the block of 4 KiB that ext4 has for them.
const markMax = 1 << 10

// Ranged says that the file is larger than one chunk and filled in ranges.
func (m *Mark) Ranged() bool { return len(m.Content.Chunks) > 0 || m.External }

// Encode writes the mark as the value of the extended attribute.
func (m *Mark) Encode() []byte {
	b := m.head()
	if m.Listed != 0 {
		b = appendUint64(b, m.Listed)
	}
	if !m.Tree.IsZero() {
		return append(b, m.Tree[:]...)
	}
	if m.External {
		b = appendUint64(b, m.Tag)
		b = appendUint64(b, m.Size)
		return append(b, m.Content.ID[:]...)
	}
	if m.Ranged() {
		b = appendUint64(b, m.Tag)
	}
	return append(b, cvd.EncodeContent(m.Size, &m.Content)...)
}

// head is the kind with its bits, the capabilities behind their length, and the time.
func (m *Mark) head() []byte {
	b := append(make([]byte, 0, 96), m.kind())
	if m.Sparse {
		b[0] |= sparseBit
	}
	if len(m.Caps) > 0 {
		b[0] |= capsBit
		b = append(append(b, byte(len(m.Caps))), m.Caps...)
	}
	if m.Timed {
		b[0] |= timeBit
		b = appendUint64(b, uint64(m.Mtime.Sec))
		b = binary.BigEndian.AppendUint32(b, m.Mtime.Nsec)
	}
	return b
}

func (m *Mark) kind() byte {
	switch {
	case m.Listed != 0:
		return markListed
	case !m.Tree.IsZero():
		return markTree
	case m.External:
		return markExternal
	case m.Ranged():
		return markRanged
	}
	return markSingle
}

// DecodeMark reads what Encode wrote.
func DecodeMark(b []byte) (Mark, error) {
	var m Mark
	if len(b) == 0 {
		return m, fmt.Errorf("%w: empty", ErrMark)
	}
	kind := b[0] &^ (sparseBit | capsBit | timeBit)
	b, err := m.decodeHead(b)
	if err != nil {
		return m, err
	}
	switch {
	case kind == markTree && len(b) == len(m.Tree) && !m.Sparse && m.Caps == nil:
		copy(m.Tree[:], b)
		return m, nil
	case kind == markListed && len(b) == 8+len(m.Tree) && !m.Sparse && m.Caps == nil && uint64At(b) != 0:
		m.Listed = uint64At(b)
		copy(m.Tree[:], b[8:])
		return m, nil
	case kind == markExternal && len(b) == 16+len(m.Content.ID):
		m.External = true
		m.Tag, m.Size = uint64At(b), uint64At(b[8:])
		copy(m.Content.ID[:], b[16:])
		return m, nil
	case kind == markRanged && len(b) > 8:
		m.Tag, b = uint64At(b), b[8:]
	case kind != markSingle:
		return m, fmt.Errorf("%w: kind %#x, %d bytes", ErrMark, kind, len(b))
	}
	m.Size, m.Content, err = cvd.DecodeContent(b)
	if err == nil && m.Ranged() != (kind == markRanged) {
		err = fmt.Errorf("%d chunks", len(m.Content.Chunks))
	}
	if err != nil {
		return m, fmt.Errorf("%w: %w", ErrMark, err)
	}
	return m, nil
}

// decodeHead reads what head wrote and returns the rest.
func (m *Mark) decodeHead(b []byte) ([]byte, error) {
	first, b := b[0], b[1:]
	m.Sparse, m.Timed = first&sparseBit != 0, first&timeBit != 0
	if first&capsBit != 0 {
		if len(b) == 0 || b[0] == 0 || len(b) <= int(b[0]) {
			return nil, fmt.Errorf("%w: capabilities cut short", ErrMark)
		}
		n := int(b[0])
		m.Caps, b = b[1:1+n:1+n], b[1+n:]
	}
	if !m.Timed {
		return b, nil
	}
	if len(b) < 12 {
		return nil, fmt.Errorf("%w: time cut short", ErrMark)
	}
	m.Mtime = cvd.Time{Sec: int64(uint64At(b)), Nsec: binary.BigEndian.Uint32(b[8:])}
	if m.Mtime.Nsec >= 1e9 {
		return nil, fmt.Errorf("%w: %d nanoseconds", ErrMark, m.Mtime.Nsec)
	}
	return b[12:], nil
}

func appendUint64(b []byte, v uint64) []byte {
	for s := 56; s >= 0; s -= 8 {
		b = append(b, byte(v>>s))
	}
	return b
}

func uint64At(b []byte) (v uint64) {
	for _, c := range b[:8] {
		v = v<<8 | uint64(c)
	}
	return v
}
