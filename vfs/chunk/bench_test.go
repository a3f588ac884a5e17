package chunk_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
)

// program is the bytes of this test's own binary: a real program, on any machine.
func program(b *testing.B) []byte {
	name, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	plain, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	return plain[:min(len(plain), 4<<20)]
}

func BenchmarkSplit(b *testing.B) {
	plain := program(b)
	buf := make([]byte, 2*chunk.MaxSize)
	for _, cut := range []chunk.Cut{chunk.Coarse, chunk.Finest} {
		b.Run(map[chunk.Cut]string{chunk.Coarse: "coarse", chunk.Finest: "finest"}[cut], func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				s := chunk.NewSplitter(bytes.NewReader(plain), cut, buf)
				for err := error(nil); !errors.Is(err, io.EOF); {
					_, err = s.Next()
				}
			}
		})
	}
}

func BenchmarkFrame(b *testing.B) {
	plain := program(b)[:256<<10]
	id, frame := chunk.Sum(plain), chunk.Encode(nil, plain)
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		var dst []byte
		for b.Loop() {
			dst = chunk.Encode(dst[:0], plain)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		var dst []byte
		for b.Loop() {
			var err error
			if dst, err = chunk.Decode(dst[:0], frame, id); err != nil {
				b.Fatal(err)
			}
		}
	})
}
