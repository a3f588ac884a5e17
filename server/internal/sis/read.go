package sis

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/looming-project/looming/vfs/chunk"
)

const (
	// gapMax is how many unwanted bytes between two records are read rather than skipped.
	gapMax = 8 << 10
	// runMax is the most bytes of one read.
	runMax = 1 << 20
)

// Want is one record to read. After Read, Frame or Err is set.
type Want struct {
	Entry
	Frame []byte
	Err   error
}

// Read fills the wants from one pack, neighbours with one read each. Frames lie
// in the returned buffer, which is buf or grown from it. A record that is not
// whole is chunk.ErrDamaged; the others are read all the same. The order of wants changes.
func Read(pack PackReader, wants []*Want, buf []byte) []byte {
	slices.SortFunc(wants, func(a, b *Want) int { return int(int64(a.Offset) - int64(b.Offset)) })
	for len(wants) > 0 {
		n := run(wants)
		buf = readRun(pack, wants[:n], buf)
		wants = wants[n:]
	}
	return buf
}

// run is how many of the wants, sorted by offset, are read at once.
func run(wants []*Want) int {
	start, end := int64(wants[0].Offset), wants[0].end()
	n := 1
	for ; n < len(wants); n++ {
		if int64(wants[n].Offset) > end+gapMax || wants[n].end() > start+runMax {
			break
		}
		end = max(end, wants[n].end())
	}
	return n
}

func readRun(pack PackReader, wants []*Want, buf []byte) []byte {
	start, end := int64(wants[0].Offset), wants[0].end()
	for _, w := range wants {
		end = max(end, w.end())
	}
	buf = grow(buf, int(end-start))
	at := len(buf)
	buf = buf[:at+int(end-start)]
	n, err := pack.ReadAt(buf[at:], start)
	got := start + int64(n)
	for _, w := range wants {
		if w.end() > got {
			w.Err = shortRead(w, err)
			continue
		}
		record := buf[at+int(int64(w.Offset)-start):][:RecordHead+int(w.Length)]
		if w.Err = checkRecord(record, &w.Entry); w.Err == nil {
			w.Frame = record[RecordHead:]
		}
	}
	return buf
}

func shortRead(w *Want, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("chunk %s: %w: the pack is cut short", w.ID, chunk.ErrDamaged)
	}
	return fmt.Errorf("chunk %s: %w", w.ID, err)
}

// grow makes room for n more bytes. Frames that alias the old buffer keep it.
func grow(buf []byte, n int) []byte {
	if cap(buf)-len(buf) >= n {
		return buf
	}
	return make([]byte, 0, max(n, runMax))
}

// Index reads the entries of a pack from its index. ErrPack says that it has no whole one.
func Index(pack PackReader, name PackName) ([]Entry, error) {
	size, err := pack.Size()
	if err != nil {
		return nil, err
	}
	if size < headerSize+footerSize {
		return nil, fmt.Errorf("pack %s: %w: %d bytes", name, ErrPack, size)
	}
	if err := checkHeader(pack, name); err != nil {
		return nil, err
	}
	var tail [footerSize]byte
	if _, err := pack.ReadAt(tail[:], size-footerSize); err != nil {
		return nil, fmt.Errorf("pack %s: %w", name, err)
	}
	f, err := parseFooter(tail[:], size)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", name, err)
	}
	b := make([]byte, indexSize(f.count))
	if _, err := pack.ReadAt(b, f.index); err != nil {
		return nil, fmt.Errorf("pack %s: %w", name, err)
	}
	entries, err := parseIndex(b, f, name)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", name, err)
	}
	return entries, nil
}

func checkHeader(pack PackReader, name PackName) error {
	var head [headerSize]byte
	if _, err := pack.ReadAt(head[:], 0); err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	own, err := parseHeader(head[:])
	if err == nil && own != name {
		err = fmt.Errorf("%w: it says that it is pack %s", ErrPack, own)
	}
	if err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return nil
}
