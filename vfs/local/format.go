package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"

	"github.com/looming-project/looming/vfs/chunk"
)

// FORMAT.md has the format.
const (
	magic        = "LLI\x01"
	recordSize   = 24
	blockRecords = 170
	blockSize    = blockRecords * recordSize
	footSize     = 24
	pathMax      = 1<<16 - 1
	numberMax    = 1<<48 - 1
)

// errIndex says that a file is no index, or not a whole one.
var errIndex = errors.New("not usable as an index")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// kind is what a record is about.
type kind byte

const (
	ofFile kind = iota
	ofWhole
	ofHeap
)

// record is a place with the chunk's prefix, as it lies in the index.
type record [recordSize]byte

// place is where a chunk lies.
type place struct {
	kind kind
	// at is where in the heap the path or the chunk begins.
	at uint64
	// off is where the chunk begins in its file, or a whole file's size.
	off uint64
	// size is the chunk's.
	size uint32
}

// prefix is the part of an id that is in a record.
func prefix(id *chunk.ID) uint64 { return binary.BigEndian.Uint64(id[:]) }

func (r *record) prefix() uint64 { return binary.BigEndian.Uint64(r[:]) }

func newRecord(id *chunk.ID, p *place) (r record) {
	copy(r[:8], id[:])
	r[8] = byte(p.kind)
	put48(r[9:], p.at)
	put48(r[15:], p.off)
	r[21], r[22], r[23] = byte(p.size>>16), byte(p.size>>8), byte(p.size)
	return r
}

// place reads the record; ok is false for one that nobody wrote.
func (r *record) place() (p place, ok bool) {
	p = place{kind(r[8]), get48(r[9:]), get48(r[15:]), uint32(r[21])<<16 | uint32(r[22])<<8 | uint32(r[23])}
	switch p.kind {
	case ofFile:
		ok = p.size > 0 && p.size <= chunk.MaxSize
	case ofWhole:
		ok = p.size == 0
	case ofHeap:
		ok = p.size > 0 && p.size <= chunk.MaxSize && p.off == 0
	}
	return p, ok
}

func put48(b []byte, v uint64) {
	for i := range 6 {
		b[i] = byte(v >> (40 - 8*i))
	}
}

func get48(b []byte) (v uint64) {
	for _, x := range b[:6] {
		v = v<<8 | uint64(x)
	}
	return v
}

func compare(a, b record) int { return bytes.Compare(a[:], b[:]) }

// run is sorted records in a file.
type run struct {
	r  io.ReaderAt
	at int64
	n  int64
	// fences are the prefixes of every blockRecords-th record.
	fences []uint64
}

// find calls each for the records with a prefix, until it returns false. What cannot be read is not there.
func (r *run) find(prefix uint64, each func(*record) bool) {
	first := max(sort.Search(len(r.fences), func(i int) bool { return r.fences[i] >= prefix })-1, 0)
	var buf [blockSize]byte
	for i := first; i < len(r.fences) && r.fences[i] <= prefix; i++ {
		from := int64(i) * blockRecords
		b := buf[:min(blockRecords, r.n-from)*recordSize]
		if _, err := r.r.ReadAt(b, r.at+from*recordSize); err != nil {
			return
		}
		for ; len(b) > 0; b = b[recordSize:] {
			rec := (*record)(b)
			if p := rec.prefix(); p > prefix || p == prefix && !each(rec) {
				return
			}
		}
	}
}

// foot ends an index.
type foot struct{ at, n int64 }

func (f *foot) fences() int64 { return (f.n + blockRecords - 1) / blockRecords }

// size is how long the index is.
func (f *foot) size() int64 { return f.at + f.n*recordSize + f.fences()*8 + footSize }

// appendTail appends the fences and the foot to b.
func appendTail(b []byte, at, n int64, fences []uint64) []byte {
	for _, x := range fences {
		b = binary.BigEndian.AppendUint64(b, x)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	b = binary.BigEndian.AppendUint64(b, uint64(n))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, magic...)
}

// readRun reads the tail of an index of that size.
func readRun(r io.ReaderAt, size int64) (*run, error) {
	var end [footSize]byte
	var start [len(magic)]byte
	if size < int64(len(magic)+footSize) {
		return nil, fmt.Errorf("%w: %d bytes", errIndex, size)
	}
	if _, err := r.ReadAt(start[:], 0); err != nil {
		return nil, err
	}
	if _, err := r.ReadAt(end[:], size-footSize); err != nil {
		return nil, err
	}
	f := foot{int64(binary.BigEndian.Uint64(end[:])), int64(binary.BigEndian.Uint64(end[8:]))}
	switch {
	case string(start[:]) != magic || string(end[20:]) != magic:
		return nil, fmt.Errorf("%w: another version, or cut short", errIndex)
	case f.at < int64(len(magic)) || f.at > size || f.n < 0 || f.n > size/recordSize || f.size() != size:
		return nil, fmt.Errorf("%w: it is not as long as it says", errIndex)
	}
	return f.read(r, size)
}

func (f *foot) read(r io.ReaderAt, size int64) (*run, error) {
	n := f.fences() * 8
	b := make([]byte, n+footSize)
	if _, err := r.ReadAt(b, size-int64(len(b))); err != nil {
		return nil, err
	}
	if crc32.Checksum(b[:n+16], castagnoli) != binary.BigEndian.Uint32(b[n+16:]) {
		return nil, fmt.Errorf("%w: its end is damaged", errIndex)
	}
	x := &run{r: r, at: f.at, n: f.n, fences: make([]uint64, f.fences())}
	for i := range x.fences {
		x.fences[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return x, nil
}

// readPath reads the path that begins at an offset of the heap.
func readPath(r io.ReaderAt, at uint64) (string, error) {
	var head [2]byte
	if _, err := r.ReadAt(head[:], int64(at)); err != nil {
		return "", err
	}
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	_, err := r.ReadAt(b, int64(at)+2)
	return string(b), err
}
