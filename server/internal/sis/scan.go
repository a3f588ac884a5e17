package sis

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/looming-project/looming/vfs/chunk"
)

// Scan reads a whole pack and calls fn for every record, with an error if its
// frame does not hold what its id says: place, checksum, decoding and hash.
// A pack without a whole index is read from its start as far as its records make
// sense; after fn has seen those, the error says why there is no index (ErrPack).
func Scan(pack PackReader, name PackName, fn func(e Entry, damage error) error) error {
	plain := plainPool.Get().(*[]byte)
	defer plainPool.Put(plain)
	entries, broken := Index(pack, name)
	switch {
	case broken == nil:
		return scanIndexed(pack, entries, (*plain)[:0], fn)
	case !errors.Is(broken, ErrPack):
		return broken
	}
	if err := salvage(pack, (*plain)[:0], fn); err != nil {
		return err
	}
	return broken
}

func scanIndexed(pack PackReader, entries []Entry, plain []byte, fn func(Entry, error) error) error {
	wants := make([]*Want, 0, 1024)
	var buf []byte
	for len(entries) > 0 {
		wants = wants[:0]
		for size := 0; len(entries) > 0 && size < runMax && len(wants) < cap(wants); entries = entries[1:] {
			wants = append(wants, &Want{Entry: entries[0]})
			size += RecordHead + int(entries[0].Length)
		}
		buf = Read(pack, wants, buf[:0])
		for _, w := range wants {
			err := w.Err
			if err == nil {
				err = checkFrame(w.Frame, &w.Entry, plain)
			} else if !errors.Is(err, chunk.ErrDamaged) {
				return err
			}
			if err := fn(w.Entry, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkFrame(frame []byte, e *Entry, buf []byte) error {
	plain, err := chunk.Decode(buf, frame, e.ID)
	if err == nil && len(plain) != int(e.Plain) {
		err = fmt.Errorf("chunk %s: %w: it has %d bytes, not %d", e.ID, chunk.ErrDamaged, len(plain), e.Plain)
	}
	return err
}

// salvage reads records one after the other, up to the index or the first that makes no sense.
func salvage(pack PackReader, plain []byte, fn func(Entry, error) error) error {
	size, err := pack.Size()
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(io.NewSectionReader(pack, headerSize, max(size-headerSize, 0)), 256<<10)
	var record []byte
	for at := int64(headerSize); ; {
		e, ok, err := nextRecord(r, &record, at, size)
		if err != nil || !ok {
			return err
		}
		record = record[:RecordHead+int(e.Length)]
		damage := checkRecord(record, &e)
		if damage == nil {
			damage = checkFrame(record[RecordHead:], &e, plain)
		}
		if err := fn(e, damage); err != nil {
			return err
		}
		at = e.end()
	}
}

func nextRecord(r *bufio.Reader, record *[]byte, at, size int64) (e Entry, ok bool, err error) {
	head, err := r.Peek(RecordHead)
	if err != nil || string(head[:4]) == indexMagic {
		return e, false, ended(err)
	}
	e = parseRecordHead(head, at)
	if e.Length > chunk.MaxFrame || e.Plain > chunk.MaxSize || e.end() > size {
		return e, false, nil
	}
	n := RecordHead + int(e.Length)
	if cap(*record) < n {
		*record = make([]byte, n)
	}
	_, err = io.ReadFull(r, (*record)[:n])
	return e, err == nil, ended(err)
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
