package backing

import (
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
	// Size and Content are a file's.
	Size    uint64
	Content cvd.Content
	// Sparse says that runs of zeros may stay holes.
	Sparse bool
	// Caps is the file's capabilities (the security.capability attribute). The
	// kernel takes them off with every write, so they are set again behind what is
	// fetched, also where a crash came between.
	Caps []byte
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
	sparseBit = 0x80
	capsBit   = 0x40
)

// markMax is the longest content, in bytes, that a mark holds itself: with the
// other attributes it has to fit into the block of 4 KiB that ext4 has for them.
const markMax = 1 << 10

// Ranged says that the file is larger than one chunk and filled in ranges.
func (m *Mark) Ranged() bool { return len(m.Content.Chunks) > 0 || m.External }

// Encode writes the mark as the value of the extended attribute.
func (m *Mark) Encode() []byte {
	if !m.Tree.IsZero() {
		return append([]byte{markTree}, m.Tree[:]...)
	}
	b := m.head()
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

// head is the kind with its bits, and the capabilities behind their length.
func (m *Mark) head() []byte {
	kind := byte(markSingle)
	switch {
	case m.External:
		kind = markExternal
	case m.Ranged():
		kind = markRanged
	}
	if m.Sparse {
		kind |= sparseBit
	}
	b := make([]byte, 0, 96)
	if len(m.Caps) == 0 {
		return append(b, kind)
	}
	b = append(b, kind|capsBit, byte(len(m.Caps)))
	return append(b, m.Caps...)
}

// DecodeMark reads what Encode wrote.
func DecodeMark(b []byte) (Mark, error) {
	var m Mark
	if len(b) == 0 {
		return m, fmt.Errorf("%w: empty", ErrMark)
	}
	first := b[0]
	m.Sparse = first&sparseBit != 0
	kind, b := first&^(sparseBit|capsBit), b[1:]
	if first&capsBit != 0 {
		if len(b) == 0 || b[0] == 0 || len(b) <= int(b[0]) {
			return m, fmt.Errorf("%w: capabilities cut short", ErrMark)
		}
		m.Caps, b = b[1:1+b[0]:1+b[0]], b[1+b[0]:]
	}
	switch {
	case first == markTree && len(b) == len(m.Tree):
		copy(m.Tree[:], b)
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
	var err error
	m.Size, m.Content, err = cvd.DecodeContent(b)
	if err == nil && m.Ranged() != (kind == markRanged) {
		err = fmt.Errorf("%d chunks", len(m.Content.Chunks))
	}
	if err != nil {
		return m, fmt.Errorf("%w: %w", ErrMark, err)
	}
	return m, nil
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
