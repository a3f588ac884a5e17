package chunk

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// MaxFrame is the largest frame in bytes: incompressible chunks are kept in raw
// zstd blocks, which adds a header and three bytes for each 128 KiB.
const MaxFrame = MaxSize + MaxSize>>12 + 64

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(MaxSize),
		zstd.WithSingleSegment(true),
		zstd.WithEncoderCRC(false),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

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

// Encode appends the frame of plain to dst. It may be called from several goroutines.
func Encode(dst, plain []byte) []byte { return encoder().EncodeAll(plain, dst) }

// FrameSize reads the size of the plain bytes from a frame's header, without
// decoding. It refuses what no Encode makes: no size, more than MaxSize, a dictionary.
func FrameSize(frame []byte) (int, error) {
	var h zstd.Header
	if err := h.Decode(frame); err != nil {
		return 0, fmt.Errorf("%w: frame header: %w", ErrDamaged, err)
	}
	if h.Skippable || !h.HasFCS || h.FrameContentSize > MaxSize || h.DictionaryID != 0 {
		return 0, fmt.Errorf("%w: not a frame of one chunk", ErrDamaged)
	}
	return int(h.FrameContentSize), nil
}

// Decode appends the plain bytes of frame to dst and checks them against id.
// On error the bytes are not returned: what does not match reaches nobody.
func Decode(dst, frame []byte, id ID) ([]byte, error) {
	n, err := FrameSize(frame)
	if err != nil {
		return dst, fmt.Errorf("chunk %s: %w", id, err)
	}
	start := len(dst)
	if cap(dst)-start < n {
		dst = append(make([]byte, 0, start+n), dst...)
	}
	out, err := decoder().DecodeAll(frame, dst[:start:start+n])
	if err != nil {
		return dst, fmt.Errorf("chunk %s: %w: %w", id, ErrDamaged, err)
	}
	if Sum(out[start:]) != id {
		return dst, fmt.Errorf("chunk %s: %w: the bytes have another hash", id, ErrDamaged)
	}
	return out, nil
}
