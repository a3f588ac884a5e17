package chunk

import (
	"errors"
	"io"
	"math/bits"
)

// A Splitter cuts a stream by content, so that equal runs are cut equally
// wherever they stand. Streams of up to WholeMax bytes are one chunk.
type Splitter struct {
	r          io.Reader
	cut        Cut
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
	return &Splitter{r: r, cut: cut, buf: buf, first: true}
}

// Next returns the next chunk's bytes, valid until the call after it, or io.EOF.
// An empty stream has no chunk. An error of the reader is returned as it is, in
// place of the bytes before it that had not been returned.
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
		n = s.cut.Length(b)
	}
	s.first = false
	s.start += n
	return b[:n], nil
}

// idleReads is how often in a row a reader may return nothing.
const idleReads = 100

func (s *Splitter) fill() {
	if s.err != nil || s.end-s.start >= s.cut.Max {
		return
	}
	s.end = copy(s.buf, s.buf[s.start:s.end])
	s.start = 0
	for idle := 0; s.end < len(s.buf) && s.err == nil; idle++ {
		var n int
		n, s.err = s.r.Read(s.buf[s.end:])
		s.end += n
		if n > 0 {
			idle = 0
		}
		if idle == idleReads && s.err == nil {
			s.err = io.ErrNoProgress
		}
	}
}

// gearWindow is how many bytes the rolling hash remembers.
const gearWindow = 64

// Length returns the length of the first chunk of b, which holds Max bytes or all
// that are left. It is FastCDC (Xia et al., USENIX ATC 2016), normalised by two bits;
// the hash is rolled in before Min, so that a cut depends on the gearWindow bytes before it
// and not on where the chunk began.
func (c Cut) Length(b []byte) int {
	if len(b) <= c.Min {
		return len(b)
	}
	b = b[:min(len(b), c.Max)]
	normal := min(len(b), c.Avg)
	n := bits.TrailingZeros(uint(c.Avg))
	var h uint64
	for _, x := range b[c.Min-gearWindow : c.Min] {
		h = h<<1 + gear[x]
	}
	for mask, i := ^uint64(0)<<(64-(n+2)), c.Min; i < normal; i++ {
		if h = h<<1 + gear[b[i]]; h&mask == 0 {
			return i + 1
		}
	}
	for mask, i := ^uint64(0)<<(64-(n-2)), normal; i < len(b); i++ {
		if h = h<<1 + gear[b[i]]; h&mask == 0 {
			return i + 1
		}
	}
	return len(b)
}

// gear is the table of the rolling hash: xorshift64 (13, 7, 17) from the 64-bit
// golden ratio, so that FORMAT.md can state it in one line.
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
