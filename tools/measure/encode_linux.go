package main

import (
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/vfs/chunk"
)

// coder is one way to make frames.
type coder struct {
	name   string
	encode func(plain, dst []byte) []byte
	out    []byte
	// sizes are those of the frames made so far.
	sizes map[chunk.ID]int
	// last is the CPU seconds of the frame made last.
	last float64
}

// newCoder makes blocks of at most the given size: a window of that size, for a moment, makes
// the encoder choose it.
func newCoder(name string, block int, opts ...zstd.EOption) *coder {
	opts = append([]zstd.EOption{zstd.WithWindowSize(block), zstd.WithWindowSize(chunk.MaxSize)}, opts...)
	opts = append(opts, zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(1))
	enc, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		panic(err) // the options are constants
	}
	return &coder{name: name, encode: enc.EncodeAll, sizes: map[chunk.ID]int{}}
}

// asStored makes frames as everything else does.
func asStored() *coder {
	encode := func(plain, dst []byte) []byte { return chunk.Encode(dst, plain) }
	return &coder{name: "as stored", encode: encode, sizes: map[chunk.ID]int{}}
}

// size returns the size of plain's frame.
func (c *coder) size(id chunk.ID, plain []byte) int {
	if n, ok := c.sizes[id]; ok {
		c.last = 0
		return n
	}
	from := cpu()
	c.out = c.encode(plain, c.out[:0])
	c.last = cpu() - from
	c.sizes[id] = len(c.out)
	return len(c.out)
}

func cpu() float64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // never fails for this clock
	return float64(t.Sec) + float64(t.Nsec)/1e9
}

var (
	fastest = zstd.WithEncoderLevel(zstd.SpeedFastest)
	normal  = zstd.WithEncoderLevel(zstd.SpeedDefault)
	better  = zstd.WithEncoderLevel(zstd.SpeedBetterCompression)
	lits    = zstd.WithAllLitEntropyCompression(true)
)
