package chunk

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// MaxFrame is the largest frame in bytes: incompressible chunks are kept in raw
// zstd blocks, which adds a header and three bytes for each block.
const MaxFrame = MaxSize + MaxSize>>12 + 64

// The better level saves 3 to 5 per cent on anything, for half again as much CPU or
// more, so it is for a part: what has text in it. FORMAT.md has what was measured.
var (
	fastest = sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedFastest) })
	better  = sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedDefault) })
)

// blockSize is the size of zstd blocks: small ones have tables that fit programs better.
const blockSize = 32 << 10

func newEncoder(level zstd.EncoderLevel) *zstd.Encoder {
	e, err := zstd.NewWriter(nil,
		// Blocks are not larger than the smallest window ever set.
		zstd.WithWindowSize(blockSize), zstd.WithWindowSize(MaxSize),
		zstd.WithEncoderLevel(level),
		// Base64 has no repeats, but only 64 letters: a mailbox becomes a quarter smaller.
		zstd.WithAllLitEntropyCompression(true),
		zstd.WithSingleSegment(true),
		zstd.WithEncoderCRC(false),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
}

// hasText says whether three of eight bytes of plain are printable, by 256 of them
// spread over it.
func hasText(plain []byte) bool {
	step := max(1, len(plain)/256)
	n, printable := 0, 0
	for i := 0; i < len(plain); i += step {
		n++
		if b := plain[i]; b >= ' ' && b <= '~' || b == '\n' || b == '\t' || b == '\r' {
			printable++
		}
	}
	return printable*8 >= n*3
}

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxSize),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})

// Encode appends the frame of plain, of at most MaxSize bytes, to dst. It may be
// called from several goroutines. Two versions of this program may make different
// frames of one chunk; both decode to it.
func Encode(dst, plain []byte) []byte {
	if hasText(plain) {
		return better().EncodeAll(plain, dst)
	}
	return fastest().EncodeAll(plain, dst)
}

// FrameSize reads the size of the plain bytes from a frame's header, without
// decoding. It refuses what no Encode makes: no size, more than MaxSize, a dictionary.
func FrameSize(frame []byte) (int, error) {
	h, err := header(frame)
	return int(h.FrameContentSize), err
}

func header(frame []byte) (zstd.Header, error) {
	var h zstd.Header
	if len(frame) > MaxFrame {
		return zstd.Header{}, fmt.Errorf("%w: a frame of %d bytes", ErrDamaged, len(frame))
	}
	if err := h.Decode(frame); err != nil {
		return zstd.Header{}, fmt.Errorf("%w: frame header: %w", ErrDamaged, err)
	}
	if h.Skippable || !h.HasFCS || h.FrameContentSize > MaxSize || h.DictionaryID != 0 {
		return zstd.Header{}, fmt.Errorf("%w: not a frame of one chunk", ErrDamaged)
	}
	return h, nil
}

// Decode appends the plain bytes of frame to dst and checks them against id.
// On error the bytes are not returned: what does not match reaches nobody.
func Decode(dst, frame []byte, id ID) ([]byte, error) {
	h, err := header(frame)
	if err != nil {
		return dst, fmt.Errorf("chunk %s: %w", id, err)
	}
	if !single(frame, h) {
		return dst, fmt.Errorf("chunk %s: %w: more or less than one frame", id, ErrDamaged)
	}
	n, start := int(h.FrameContentSize), len(dst)
	room := dst
	if cap(dst)-start < n {
		room = append(make([]byte, 0, start+n), dst...)
	}
	out, err := decoder().DecodeAll(frame, room[:start:start+n])
	if err != nil {
		return dst, fmt.Errorf("chunk %s: %w: %w", id, ErrDamaged, err)
	}
	if Sum(out[start:]) != id {
		return dst, fmt.Errorf("chunk %s: %w: the bytes have another hash", id, ErrDamaged)
	}
	return out, nil
}

// single says whether frame ends with the last block of its first frame, so that
// nothing can ride behind a chunk (RFC 8878, 3.1.1.2).
func single(frame []byte, h zstd.Header) bool {
	const rle = 1
	b := frame[h.HeaderSize:]
	for len(b) >= 3 {
		head := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		last, kind, n := head&1 == 1, head>>1&3, head>>3
		if kind == rle {
			n = 1
		}
		if b = b[3:]; n > len(b) {
			return false
		}
		if b = b[n:]; last {
			return len(b) == 0 && !h.HasCheckSum || len(b) == 4 && h.HasCheckSum
		}
	}
	return false
}
