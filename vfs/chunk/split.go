package chunk

import (
	"errors"
	"io"
	"math/bits"
)

// A Splitter cuts a stream by content with FastCDC (Xia et al., USENIX ATC
// 2016), normalised by two bits, so that equal runs are cut equally wherever
// they stand. Streams of up to WholeMax bytes are one chunk.
type Splitter struct {
	r          io.Reader
	cut        Cut
	small, big uint64
	buf        []byte
	start, end int
	first      bool
	err        error
}

// NewSplitter returns a Splitter that uses buf, of at least 2*MaxSize bytes, as its buffer;
// nil makes one.
func NewSplitter(r io.Reader, cut Cut, buf []byte) *Splitter {
	if len(buf) < 2*MaxSize {
		buf = make([]byte, 2*MaxSize)
	}
	n := bits.TrailingZeros(uint(cut.Avg))
	return &Splitter{
		r: r, cut: cut, buf: buf, first: true,
		small: ^uint64(0) << (64 - (n + 2)), big: ^uint64(0) << (64 - (n - 2)),
	}
}

// Next returns the next chunk's bytes, valid until the call after it, or io.EOF.
// An empty stream has no chunk.
func (s *Splitter) Next() ([]byte, error) {
	s.fill()
	if s.err != nil && !errors.Is(s.err, io.EOF) {
		return nil, s.err
	}
	b := s.buf[s.start:s.end]
	if len(b) == 0 {
		return nil, io.EOF
	}
	n := len(b)
	if !s.first || n > WholeMax {
		n = s.length(b)
	}
	s.first = false
	s.start += n
	return b[:n], nil
}

func (s *Splitter) fill() {
	if s.err != nil || s.end-s.start >= s.cut.Max {
		return
	}
	s.end = copy(s.buf, s.buf[s.start:s.end])
	s.start = 0
	for s.end < len(s.buf) && s.err == nil {
		var n int
		n, s.err = s.r.Read(s.buf[s.end:])
		s.end += n
	}
}

func (s *Splitter) length(b []byte) int {
	if len(b) <= s.cut.Min {
		return len(b)
	}
	b = b[:min(len(b), s.cut.Max)]
	normal := min(len(b), s.cut.Avg)
	var h uint64
	for i, c := range b[s.cut.Min:normal] {
		if h = h<<1 + gear[c]; h&s.small == 0 {
			return s.cut.Min + i + 1
		}
	}
	for i, c := range b[normal:] {
		if h = h<<1 + gear[c]; h&s.big == 0 {
			return normal + i + 1
		}
	}
	return len(b)
}

// gear is the table of FastCDC's rolling hash: xorshift64 (13, 7, 17) from the
// 64-bit golden ratio, so that FORMAT.md can state it in one line.
var gear = func() (t [256]uint64) {
	x := uint64(0x9E3779B97F4A7C15)
	for i := range t {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		t[i] = x
	}
	return t
}()
