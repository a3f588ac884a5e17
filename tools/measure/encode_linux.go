package main

import (
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/vfs/chunk"
)

// coder is one way to make frames.
type coder struct {
	name string
	enc  *zstd.Encoder
	out  []byte
	// sizes are those of the frames made so far.
	sizes   map[chunk.ID]int
	seconds float64
}

func newCoder(name string, opts ...zstd.EOption) *coder {
	opts = append(opts, zstd.WithWindowSize(chunk.MaxSize), zstd.WithSingleSegment(true),
		zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(1))
	enc, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		panic(err) // the options are constants
	}
	return &coder{name: name, enc: enc, sizes: map[chunk.ID]int{}}
}

// size returns the size of plain's frame.
func (c *coder) size(id chunk.ID, plain []byte) int {
	if n, ok := c.sizes[id]; ok {
		return n
	}
	from := cpu()
	c.out = c.enc.EncodeAll(plain, c.out[:0])
	c.seconds += cpu() - from
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
