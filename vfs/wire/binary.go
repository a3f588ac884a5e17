package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// Limits of binary bodies.
const (
	// BatchMax is the most ids that one request may ask for.
	BatchMax = 16384
	// PackMax is the most bytes of frames that one upload may hold: one upload is one pack.
	PackMax = 64 << 20
	// TypeBinary is the content type of binary bodies.
	TypeBinary = "application/vnd.looming"
)

// Have is what the server says about an id that an endpoint asked for.
type Have byte

const (
	// Missing: the server lacks it: upload it.
	Missing Have = iota
	// Present: it counts as uploaded.
	Present
	// Unproven: the server holds it from somebody else: prove it, or upload it.
	Unproven
)

// WriteIDs writes a list of ids: 32 bytes each, nothing between.
func WriteIDs(w io.Writer, ids []chunk.ID) error {
	for i := range ids {
		if _, err := w.Write(ids[i][:]); err != nil {
			return err
		}
	}
	return nil
}

// ReadIDs reads a list of at most BatchMax ids up to the end of r.
func ReadIDs(r io.Reader) ([]chunk.ID, error) {
	b, err := io.ReadAll(io.LimitReader(r, BatchMax*32+1))
	if err != nil {
		return nil, err
	}
	if len(b)%32 != 0 || len(b) > BatchMax*32 {
		return nil, fmt.Errorf("%w: want at most %d ids of 32 bytes", ErrInvalid, BatchMax)
	}
	ids := make([]chunk.ID, len(b)/32)
	for i := range ids {
		copy(ids[i][:], b[32*i:])
	}
	return ids, nil
}

// A frame record is a status byte, the id (32 bytes), the frame's length (4
// bytes, big-endian) and the frame. Uploads hold FrameOK records only; answers
// end with one FrameEnd, so that a cut one is noticed.
const (
	FrameOK      = 0
	FrameMissing = 1
	FrameDamaged = 2
	FrameDenied  = 3
	FrameEnd     = 255
)

// Frame is one record. ID is zero with FrameEnd, Bytes empty but with FrameOK.
type Frame struct {
	Status byte
	ID     chunk.ID
	Bytes  []byte
}

// HeadSize is the length of a record before its frame.
const HeadSize = 1 + 32 + 4

// AppendHead appends the record's bytes up to the frame of n bytes.
func AppendHead(dst []byte, status byte, id chunk.ID, n int) []byte {
	dst = append(dst, status)
	dst = append(dst, id[:]...)
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// WriteFrame writes one record. FrameEnd has a zero id.
func WriteFrame(w io.Writer, f Frame) error {
	var head [HeadSize]byte
	if _, err := w.Write(AppendHead(head[:0], f.Status, f.ID, len(f.Bytes))); err != nil {
		return err
	}
	_, err := w.Write(f.Bytes)
	return err
}

// ReadFrame reads one record into buf, which it grows where needed; Bytes alias it.
// The end of r before a record is io.EOF, within one io.ErrUnexpectedEOF.
func ReadFrame(r io.Reader, buf []byte) (Frame, []byte, error) {
	var head [HeadSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Frame{}, buf, err
	}
	f := Frame{Status: head[0]}
	copy(f.ID[:], head[1:])
	n := int(binary.BigEndian.Uint32(head[33:]))
	if err := f.check(n); err != nil {
		return f, buf, err
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	f.Bytes = buf[:n]
	if _, err := io.ReadFull(r, f.Bytes); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return f, buf, err
	}
	return f, buf, nil
}

func (f *Frame) check(n int) error {
	switch {
	case f.Status > FrameDenied && f.Status != FrameEnd:
		return fmt.Errorf("%w: a record of status %d", ErrInvalid, f.Status)
	case f.Status == FrameEnd && !f.ID.IsZero():
		return fmt.Errorf("%w: an end with an id", ErrInvalid)
	case n > chunk.MaxFrame, (f.Status == FrameOK) != (n > 0):
		return fmt.Errorf("%w: a frame of %d bytes with status %d", ErrInvalid, n, f.Status)
	}
	return nil
}

// FileAnswer is what the server says about a file id: a Have, and where it is
// not Missing and the file is larger than chunk.WholeMax, the file's content.
type FileAnswer struct {
	Have    Have
	Size    uint64
	Content cvd.Content
}

// Challenge asks for a proof that the endpoint holds a chunk: the keyed BLAKE3
// (key: Key) over the plain bytes [Offset, Offset+Length).
type Challenge struct {
	ID     chunk.ID `json:"id"`
	Key    [32]byte `json:"key"`
	Offset uint32   `json:"offset"`
	Length uint32   `json:"length"`
}
