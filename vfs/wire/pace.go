package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// Headers of POST /v1/chunks.
const (
	// PaceHeader is in a request: PaceDemand, or at how many bytes a second the endpoint wants all its paced answers
	// together; 0 is as fast as can be.
	PaceHeader = "Looming-Pace"
	// PaceDemand is for bytes that somebody waits for.
	PaceDemand = "demand"
	// ClockHeader is in an answer whose body comes in pieces, and names the clock that they are stamped with.
	ClockHeader = "Looming-Clock"
	// LimitHeader is in an answer: the bytes a second that an admin lets this device have; absent if there is no limit.
	LimitHeader = "Looming-Limit"
)

// FormatRate gives a rate as headers have it.
func FormatRate(rate float64) string { return strconv.FormatInt(int64(math.Ceil(rate)), 10) }

// ParseRate reads a rate of a header: a whole number of bytes a second.
func ParseRate(s string) (float64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: the rate %q: want bytes a second", ErrInvalid, s)
	}
	return float64(n), nil
}

// A piece is some bytes of a paced answer behind their length (4 bytes) and the time at which they were sent (8 bytes, in
// microseconds of the server's clock).
const (
	PieceHead = 4 + 8
	// PieceMax is the most bytes that a piece may have.
	PieceMax = 64 << 10
)

// AppendPieceHead appends what stands before the n bytes of a piece.
func AppendPieceHead(dst []byte, n int, sent time.Duration) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	return binary.BigEndian.AppendUint64(dst, uint64(sent.Microseconds()))
}

// PieceReader reads the bytes of a body that comes in pieces.
type PieceReader struct {
	// R is the body.
	R io.Reader
	// Heard is called with each piece as soon as its head is here.
	Heard func(sent time.Duration)

	left int
}

// Read implements io.Reader. An end within a piece is io.ErrUnexpectedEOF.
func (p *PieceReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if p.left == 0 {
		if err := p.head(); err != nil {
			return 0, err
		}
	}
	n, err := p.R.Read(b[:min(len(b), p.left)])
	p.left -= n
	if errors.Is(err, io.EOF) && p.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (p *PieceReader) head() error {
	var head [PieceHead]byte
	if _, err := io.ReadFull(p.R, head[:]); err != nil {
		return err
	}
	n, sent := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint64(head[4:])
	if n == 0 || n > PieceMax || sent > math.MaxInt64/uint64(time.Microsecond) {
		return fmt.Errorf("%w: a piece of %d bytes at %d", ErrInvalid, n, sent)
	}
	p.left = int(n)
	if p.Heard != nil {
		p.Heard(time.Duration(sent) * time.Microsecond)
	}
	return nil
}
