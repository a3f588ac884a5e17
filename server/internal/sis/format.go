package sis

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/zeebo/blake3"

	"github.com/looming-project/looming/vfs/chunk"
)

// ErrPack says that bytes are not a pack, or that its index is damaged.
var ErrPack = errors.New("not a whole pack")

// Sizes of the parts of a pack in bytes; see FORMAT.md.
const (
	headerSize = 16
	// RecordHead is the length of a record before its frame.
	RecordHead = 32 + 4 + 4 + 4
	indexEntry = 32 + 4 + 4
	footerSize = 8 + 4 + 32 + 4

	packMagic   = "LMP\x01"
	indexMagic  = "LMI\x01"
	footerMagic = "LMF\x01"

	// MaxRecords is the most chunks that one pack holds: it bounds the memory of a writer.
	MaxRecords = 1 << 17
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// PackName names a pack on its volume: eight random bytes.
type PackName [8]byte

// String is the name in hexadecimal.
func (n PackName) String() string { return hex.EncodeToString(n[:]) }

// Entry is one chunk of a pack.
type Entry struct {
	ID chunk.ID
	// Offset is where its record starts, in bytes from the start of the pack.
	Offset uint32
	// Length is the frame's length, Plain the chunk's.
	Length, Plain uint32
}

// end is the offset behind the entry's record.
func (e *Entry) end() int64 { return int64(e.Offset) + RecordHead + int64(e.Length) }

func appendHeader(b []byte, name PackName) []byte {
	b = append(b, packMagic...)
	b = append(b, 0, 0, 0, 0)
	return append(b, name[:]...)
}

func parseHeader(b []byte) (name PackName, err error) {
	if len(b) < headerSize || string(b[:8]) != packMagic+"\x00\x00\x00\x00" {
		return name, fmt.Errorf("%w: no header of version 1", ErrPack)
	}
	copy(name[:], b[8:])
	return name, nil
}

// putRecordHead fills in the head of the record b, whose frame is there already.
func putRecordHead(b []byte, id *chunk.ID, plain int) {
	copy(b, id[:])
	binary.BigEndian.PutUint32(b[32:], uint32(len(b)-RecordHead))
	binary.BigEndian.PutUint32(b[36:], uint32(plain))
	binary.BigEndian.PutUint32(b[40:], recordSum(b))
}

func recordSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:40], castagnoli), castagnoli, b[RecordHead:])
}

// checkRecord says whether b is the whole record of e.
func checkRecord(b []byte, e *Entry) error {
	switch {
	case !bytes.Equal(b[:32], e.ID[:]), binary.BigEndian.Uint32(b[32:]) != e.Length:
		return fmt.Errorf("chunk %s: %w: another record stands in its place", e.ID, chunk.ErrDamaged)
	case binary.BigEndian.Uint32(b[40:]) != recordSum(b):
		return fmt.Errorf("chunk %s: %w: the record's checksum is wrong", e.ID, chunk.ErrDamaged)
	}
	return nil
}

// parseRecordHead reads the head of a record at an offset, unchecked.
func parseRecordHead(b []byte, offset int64) Entry {
	e := Entry{Offset: uint32(offset), Length: binary.BigEndian.Uint32(b[32:]), Plain: binary.BigEndian.Uint32(b[36:])}
	copy(e.ID[:], b)
	return e
}

// appendIndex appends index and footer of a pack whose records end at offset end.
func appendIndex(b []byte, name PackName, entries []Entry, end int64) []byte {
	start := len(b)
	b = append(b, indexMagic...)
	for i := range entries {
		e := &entries[i]
		b = append(b, e.ID[:]...)
		b = binary.BigEndian.AppendUint32(b, e.Length)
		b = binary.BigEndian.AppendUint32(b, e.Plain)
	}
	sum := indexSum(name, b[start:])
	b = binary.BigEndian.AppendUint64(b, uint64(end))
	b = binary.BigEndian.AppendUint32(b, uint32(len(entries)))
	b = append(b, sum[:]...)
	return append(b, footerMagic...)
}

func indexSum(name PackName, index []byte) (sum [32]byte) {
	h := blake3.New()
	_, _ = h.Write(appendHeader(nil, name)) // a hash never fails
	_, _ = h.Write(index)
	h.Sum(sum[:0])
	return sum
}

// indexSize is the length of the index of n chunks.
func indexSize(n int) int64 { return int64(len(indexMagic)) + int64(n)*indexEntry }

// footer is what the last bytes of a pack say.
type footer struct {
	index int64
	count int
	sum   [32]byte
}

func parseFooter(b []byte, size int64) (f footer, err error) {
	if len(b) != footerSize || string(b[footerSize-4:]) != footerMagic {
		return f, fmt.Errorf("%w: no footer of version 1", ErrPack)
	}
	f.index, f.count = int64(binary.BigEndian.Uint64(b)), int(binary.BigEndian.Uint32(b[8:]))
	copy(f.sum[:], b[12:])
	if f.count > MaxRecords || f.index < headerSize || f.index+indexSize(f.count)+footerSize != size {
		return f, fmt.Errorf("%w: the footer does not fit the file", ErrPack)
	}
	return f, nil
}

func parseIndex(b []byte, f footer, name PackName) ([]Entry, error) {
	if indexSum(name, b) != f.sum || string(b[:len(indexMagic)]) != indexMagic {
		return nil, fmt.Errorf("%w: the index has another hash", ErrPack)
	}
	b = b[len(indexMagic):]
	entries := make([]Entry, f.count)
	at := int64(headerSize)
	for i := range entries {
		e := &entries[i]
		copy(e.ID[:], b)
		e.Offset, e.Length, e.Plain = uint32(at), binary.BigEndian.Uint32(b[32:]), binary.BigEndian.Uint32(b[36:])
		at, b = e.end(), b[indexEntry:]
	}
	if at != f.index {
		return nil, fmt.Errorf("%w: the records do not add up", ErrPack)
	}
	return entries, nil
}
