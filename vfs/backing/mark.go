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
	b := make([]byte, 0, 64)
	var sparse byte
	if m.Sparse {
		sparse = sparseBit
	}
	if m.External {
		b = append(b, markExternal|sparse)
		b = appendUint64(b, m.Tag)
		b = appendUint64(b, m.Size)
		return append(b, m.Content.ID[:]...)
	}
	if m.Ranged() {
		b = appendUint64(append(b, markRanged|sparse), m.Tag)
	} else {
		b = append(b, markSingle|sparse)
	}
	return append(b, cvd.EncodeContent(m.Size, &m.Content)...)
}

// DecodeMark reads what Encode wrote.
func DecodeMark(b []byte) (Mark, error) {
	var m Mark
	if len(b) == 0 {
		return m, fmt.Errorf("%w: empty", ErrMark)
	}
	m.Sparse = b[0]&sparseBit != 0
	kind, b := b[0]&^sparseBit, b[1:]
	switch {
	case kind == markTree && len(b) == len(m.Tree) && !m.Sparse:
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
