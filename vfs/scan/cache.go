package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// The stat cache is a header and blocks. The header is headSize bytes: the magic
// (whose last byte is the version), a byte 1 if the scan came to its end and
// committed, three zero bytes, the root it committed (32), what it is about (32:
// the BLAKE3 of desktop and path), and the CRC-32C of these (4, little-endian). A
// block is its length and CRC-32C (4 bytes each, little-endian) and whole records; one
// of length 0 ends the cache of a scan that came to its end.
// Records are in canonical order:
//
//	tag      1 byte    1 entry, 2 directory begins, 3 directory ends; 128 is added if it was racy
//	name     length (uvarint), bytes         not with tag 3
//	key      64 bytes, see stat              not with tag 3
//	payload  length (uvarint), bytes         not with tag 3; see payload.go
//	tree     32 bytes, and sums (3 uvarints) tag 3 only
const (
	cacheMagic = "LSC\x02"
	headSize   = 4 + 4 + 32 + 32 + 4
	blockSize  = 256 << 10
	blockMax   = 256 << 20
)

const (
	tagEntry = 1
	tagEnter = 2
	tagLeave = 3
	tagRacy  = 0x80
)

// errCache says that a stat cache is damaged, of another version, or about something else.
var errCache = errors.New("not usable as a stat cache")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the head of a stat cache.
type header struct {
	complete bool
	root     cvd.Root
	about    chunk.ID
}

func (h *header) encode() []byte {
	b := append(make([]byte, 0, headSize), cacheMagic...)
	if h.complete {
		b = append(b, 1, 0, 0, 0)
	} else {
		b = append(b, 0, 0, 0, 0)
	}
	b = append(b, h.root[:]...)
	b = append(b, h.about[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeHeader(b []byte) (h header, err error) {
	if len(b) < headSize || string(b[:4]) != cacheMagic {
		return h, fmt.Errorf("%w: another version", errCache)
	}
	if crc32.Checksum(b[:headSize-4], castagnoli) != binary.LittleEndian.Uint32(b[headSize-4:]) {
		return h, fmt.Errorf("%w: its head is damaged", errCache)
	}
	h.complete = b[4] == 1
	copy(h.root[:], b[8:])
	copy(h.about[:], b[40:])
	return h, nil
}

// record is one record as it lies in a block, which it aliases.
type record struct {
	tag     byte
	racy    bool
	name    string
	key     []byte
	payload []byte
	tree    chunk.ID
	sums    cvd.Sums
}

func appendRecord(b []byte, tag byte, name string, k *key, payload []byte) []byte {
	b = append(b, tag)
	b = binary.AppendUvarint(b, uint64(len(name)))
	b = append(b, name...)
	b = append(b, k[:]...)
	b = binary.AppendUvarint(b, uint64(len(payload)))
	return append(b, payload...)
}

func appendLeave(b []byte, tree chunk.ID, sums cvd.Sums) []byte {
	b = append(b, tagLeave)
	b = append(b, tree[:]...)
	b = binary.AppendUvarint(b, sums.Files)
	b = binary.AppendUvarint(b, sums.Dirs)
	return binary.AppendUvarint(b, sums.Bytes)
}
