// Package chunk names, cuts and frames runs of bytes.
//
// A chunk is at most MaxSize bytes and is named by the BLAKE3-256 of its plain
// bytes. It is stored and sent as a frame: one zstd frame, made once on the
// endpoint and never recompressed on its way. The byte layout of frames and the
// rule by which files are cut are frozen in ../cvd/FORMAT.md.
package chunk

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"
)

// Size limits of a chunk's plain bytes.
const (
	// MaxSize is the largest chunk, in bytes.
	MaxSize = 1 << 20
	// WholeMax is the largest file that is one chunk; larger ones are cut by content.
	WholeMax = 128 << 10
)

var (
	// ErrNotFound says that a source does not hold the chunk.
	ErrNotFound = errors.New("chunk not found")
	// ErrDamaged says that bytes do not match their id, or a frame does not decode.
	ErrDamaged = errors.New("chunk damaged")
)

// ID is the BLAKE3-256 of a run of plain bytes.
type ID [32]byte

// Sum returns the id of plain.
func Sum(plain []byte) ID { return blake3.Sum256(plain) }

// ParseID reads the 64 hexadecimal digits that String writes.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return id, fmt.Errorf("chunk id %q: want 64 hexadecimal digits", s)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("chunk id %q: %w", s, err)
	}
	return id, nil
}

// String is the id in hexadecimal, as b3sum prints it.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero says whether the id is unset.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error {
	v, err := ParseID(string(b))
	if err == nil {
		*id = v
	}
	return err
}
