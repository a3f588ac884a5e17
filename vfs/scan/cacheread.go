package scan

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/looming-project/looming/vfs/chunk"
)

// source is a stat cache that the walker joins with the disk.
type source struct {
	f *os.File
	r *bufio.Reader
	// trusted: what is in it is on the server.
	trusted bool
	head    header
	// block is the rest of the block that is read.
	block parser
	cur   record
	// end: there is no record any more; err says why, unless the cache just ends.
	end bool
	err error
}

// openSource opens a cache about the given thing. It is the caller's to close.
func openSource(path string, about chunk.ID) (*source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &source{f: f, r: bufio.NewReaderSize(f, 64<<10)}
	head := make([]byte, headSize)
	if _, err = io.ReadFull(s.r, head); err != nil {
		err = fmt.Errorf("%w: %w", errCache, err)
	} else if s.head, err = decodeHeader(head); err == nil && s.head.about != about {
		err = fmt.Errorf("%w: it is about another directory", errCache)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.next()
	return s, nil
}

func (s *source) close() { _ = s.f.Close() }

// next goes to the next record.
func (s *source) next() {
	if s.end {
		return
	}
	if len(s.block.b) == 0 && !s.fill() {
		s.end, s.cur = true, record{}
		return
	}
	s.parse()
	if s.block.bad {
		s.end, s.cur, s.err = true, record{}, errCache
	}
}

// fill reads a block. Blocks are not used again, because records alias them.
func (s *source) fill() bool {
	var head [8]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		if s.head.complete || !errors.Is(err, io.EOF) {
			s.complain(err)
		}
		return false
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > blockMax {
		if n != 0 {
			s.complain(errCache)
		}
		return false
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.r, b); err != nil {
		s.complain(err)
		return false
	}
	if crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		s.complain(errCache)
		return false
	}
	s.block = parser{b: b}
	return true
}

// complain notes damage. A cache of a scan that died may end anywhere.
func (s *source) complain(err error) {
	if s.head.complete {
		s.err = fmt.Errorf("%s is damaged: %w", s.f.Name(), err)
	}
}

func (s *source) parse() {
	tag := s.block.byte()
	s.cur = record{tag: tag &^ tagRacy, racy: tag&tagRacy != 0}
	switch s.cur.tag {
	case tagEntry, tagEnter:
		s.cur.name = s.block.text()
		s.cur.key = s.block.take(keySize)
		s.cur.payload = s.block.bytes()
	case tagLeave:
		s.cur.tree, s.cur.sums = s.block.id(), s.block.sums()
	default:
		s.block.bad = true
	}
}

// find goes to the entry of that name in the directory in which s stands, and
// takes it. passed says whether entries were passed over.
func (s *source) find(name string) (rec record, ok, passed bool) {
	for !s.end && s.cur.tag != tagLeave {
		switch c := compare(s.cur.name, name); {
		case c > 0:
			return rec, false, passed
		case c == 0:
			rec = s.cur
			s.next()
			return rec, true, passed
		}
		s.pass()
		passed = true
	}
	return rec, false, passed
}

// top takes the record of the root.
func (s *source) top() (rec record, ok, passed bool) {
	if s.end || s.cur.tag != tagEnter || s.cur.name != "" {
		return rec, false, false
	}
	rec = s.cur
	s.next()
	return rec, true, false
}

// pass goes beyond the entry at which s stands, and what is below it.
func (s *source) pass() {
	enter := s.cur.tag == tagEnter
	s.next()
	if enter {
		s.leave()
	}
}

// leave goes beyond the end of the directory in which s stands. passed says whether there were entries
// on the way; ok is false if the cache ends before.
func (s *source) leave() (rec record, ok, passed bool) {
	for depth := 0; !s.end; {
		rec = s.cur
		s.next()
		switch rec.tag {
		case tagEnter:
			depth++
		case tagLeave:
			if depth == 0 {
				return rec, true, passed
			}
			depth--
		}
		passed = true
	}
	return record{}, false, passed
}
