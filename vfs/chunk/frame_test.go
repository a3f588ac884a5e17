package chunk_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/chunk/chunktest"
)

func noise(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = src.Read(b)
	return b
}

func TestFramesComeBack(t *testing.T) {
	for _, plain := range append(chunktest.Plains(50), nil, noise(chunk.MaxSize-1)) {
		frame := chunk.Encode(nil, plain)
		if len(frame) > chunk.MaxFrame {
			t.Errorf("the frame of %d bytes takes %d, more than MaxFrame", len(plain), len(frame))
		}
		if n, err := chunk.FrameSize(frame); n != len(plain) || err != nil {
			t.Errorf("FrameSize = %d, %v, want %d", n, err, len(plain))
		}
		again, err := chunk.Decode(nil, frame, chunk.Sum(plain))
		if err != nil || !bytes.Equal(again, plain) {
			t.Errorf("%d bytes came back as %d: %v", len(plain), len(again), err)
		}
	}
}

func TestDecodeAppends(t *testing.T) {
	plain := noise(5000)
	frame := chunk.Encode([]byte("head"), plain)
	if string(frame[:4]) != "head" {
		t.Fatal("Encode did not append")
	}
	for _, room := range []int{0, 100, 10_000} {
		dst := append(make([]byte, 0, 4+room), "dst:"...)
		out, err := chunk.Decode(dst, frame[4:], chunk.Sum(plain))
		if err != nil || string(out[:4]) != "dst:" || !bytes.Equal(out[4:], plain) {
			t.Errorf("with room for %d: %d bytes, %v", room, len(out), err)
		}
	}
}

// Base64 has no repeats; a frame packs its letters all the same.
func TestFramesPackLettersThatDoNotRepeat(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	plain := noise(256 << 10)
	for i, b := range plain {
		plain[i] = letters[b&63]
	}
	if n := len(chunk.Encode(nil, plain)); n > len(plain)*78/100 {
		t.Errorf("%d bytes of base64 take %d", len(plain), n)
	}
}

// Small blocks are an effect of how the library's options are ordered; a newer one may lose it.
func TestFramesHaveSmallBlocks(t *testing.T) {
	frame := chunk.Encode(nil, noise(chunk.MaxSize)) // raw blocks, so that their heads are easy to find
	if n := chunk.MaxSize / (32 << 10); len(frame) < chunk.MaxSize+3*n {
		t.Errorf("a frame of %d bytes cannot have %d blocks", len(frame), n)
	}
}

// Invariant 3: bytes that do not match their id reach nobody.
func TestDamagedFramesAreRefused(t *testing.T) {
	plain := bytes.Repeat([]byte("a chunk of a desktop, "), 300)
	id, frame := chunk.Sum(plain), chunk.Encode(nil, plain)
	dst := []byte("dst")
	refused := func(what string, b []byte, id chunk.ID) {
		t.Helper()
		if out, err := chunk.Decode(dst, b, id); !errors.Is(err, chunk.ErrDamaged) || string(out) != "dst" {
			t.Errorf("%s: %d bytes, %v", what, len(out), err)
		}
	}
	refused("another id", frame, chunk.Sum(nil))
	for n := range frame {
		refused("cut short", frame[:n], id)
	}
	for i := range frame {
		flipped := bytes.Clone(frame)
		flipped[i] ^= 0x10
		if out, err := chunk.Decode(nil, flipped, id); err == nil && !bytes.Equal(out, plain) {
			t.Fatalf("byte %d flipped: accepted with other bytes", i)
		}
	}
	refused("bytes behind", append(bytes.Clone(frame), 0), id)
	refused("two frames", append(bytes.Clone(frame), frame...), id)
	refused("an empty frame behind", append(bytes.Clone(frame), chunk.Encode(nil, nil)...), id)
	skippable := binary.LittleEndian.AppendUint32([]byte{0x50, 0x2a, 0x4d, 0x18}, 4)
	skippable = append(skippable, "hide"...)
	refused("a skippable frame behind", append(bytes.Clone(frame), skippable...), id)
	refused("a skippable frame before", append(bytes.Clone(skippable), frame...), id)
	refused("nothing", nil, id)
}

func TestFramesOfMoreThanMaxSizeAreRefused(t *testing.T) {
	big := make([]byte, chunk.MaxSize+1)
	known, _ := zstd.NewWriter(nil)
	var unknown bytes.Buffer
	stream, _ := zstd.NewWriter(&unknown)
	_, _ = stream.Write(big)
	_ = stream.Close()
	for what, frame := range map[string][]byte{"size in the header": known.EncodeAll(big, nil), "no size": unknown.Bytes()} {
		if _, err := chunk.FrameSize(frame); !errors.Is(err, chunk.ErrDamaged) {
			t.Errorf("%s: FrameSize: %v", what, err)
		}
		if out, err := chunk.Decode(nil, frame, chunk.Sum(big)); !errors.Is(err, chunk.ErrDamaged) || out != nil {
			t.Errorf("%s: %d bytes, %v", what, len(out), err)
		}
	}
}

// A frame that says it is small but goes on decodes to no more than it said.
func TestFramesThatLieAboutTheirSizeAreRefused(t *testing.T) {
	plain := make([]byte, 200<<10)
	frame := chunk.Encode(nil, plain)
	i := bytes.Index(frame, binary.LittleEndian.AppendUint32(nil, uint32(len(plain))))
	if i < 0 {
		t.Fatal("no size of four bytes in the header")
	}
	for _, said := range []uint32{1, 100, 199 << 10, 201 << 10, chunk.MaxSize} {
		lie := bytes.Clone(frame)
		binary.LittleEndian.PutUint32(lie[i:], said)
		for _, id := range []chunk.ID{chunk.Sum(plain), chunk.Sum(make([]byte, said))} {
			if _, err := chunk.Decode(nil, lie, id); !errors.Is(err, chunk.ErrDamaged) {
				t.Errorf("a frame of %d bytes that says %d: %v", len(plain), said, err)
			}
		}
	}
}

func TestFramesFromSeveralGoroutines(t *testing.T) {
	plains := chunktest.Plains(30)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, p := range plains {
				if out, err := chunk.Decode(nil, chunk.Encode(nil, p), chunk.Sum(p)); err != nil || !bytes.Equal(out, p) {
					t.Error(len(p), err)
				}
			}
		})
	}
	wg.Wait()
}

func TestFramesComeBackWhateverTheyHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := bytes.Repeat(rapid.SliceOf(rapid.Byte()).Draw(t, "unit"), rapid.IntRange(1, 2000).Draw(t, "times"))
		plain = plain[:min(len(plain), chunk.MaxSize)]
		out, err := chunk.Decode(nil, chunk.Encode(nil, plain), chunk.Sum(plain))
		if err != nil || !bytes.Equal(out, plain) {
			t.Fatal(len(out), err)
		}
	})
}

var write = flag.Bool("write", false, "add vectors that are missing")

// Frames that were stored once must decode for ever, whatever encoder made them:
// testdata/frames/ID.MAKER.zst. With -write, those of today's encoder are added.
func TestOldFramesDecode(t *testing.T) {
	if *write {
		writeFrames(t)
	}
	names, err := filepath.Glob("testdata/frames/*.zst")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d old frames: %v", len(names), err)
	}
	for _, name := range names {
		frame, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text, _, _ := strings.Cut(filepath.Base(name), ".")
		id, err := chunk.ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chunk.Decode(nil, frame, id); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func writeFrames(t *testing.T) {
	makers := map[string]func([]byte) []byte{"v1": func(b []byte) []byte { return chunk.Encode(nil, b) }}
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression} {
		e, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithSingleSegment(true), zstd.WithEncoderCRC(level == zstd.SpeedDefault))
		makers[level.String()] = func(b []byte) []byte { return e.EncodeAll(b, nil) }
	}
	for _, plain := range [][]byte{nil, []byte("a"), noise(300), make([]byte, chunk.MaxSize), bytes.Repeat([]byte("looming\n"), 5000)} {
		for maker, encode := range makers {
			frame := encode(plain)
			name := filepath.Join("testdata/frames", chunk.Sum(plain).String()+"."+maker+".zst")
			if _, err := os.Stat(name); err == nil || len(frame) == 0 {
				continue
			}
			if err := os.WriteFile(name, frame, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, p := range chunktest.Plains(10) {
		if len(p) < 1000 || p[0] == 0 {
			f.Add(chunk.Encode(nil, p))
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		n, err := chunk.FrameSize(frame)
		if err == nil && n > chunk.MaxSize {
			t.Fatalf("FrameSize gave %d", n)
		}
		free, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(8<<20))
		defer free.Close()
		plain, failed := free.DecodeAll(frame, nil)
		out, err := chunk.Decode(nil, frame, chunk.Sum(plain))
		if err != nil {
			if !errors.Is(err, chunk.ErrDamaged) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if failed != nil || !bytes.Equal(out, plain) || len(out) != n || len(out) > chunk.MaxSize {
			t.Fatalf("%d bytes accepted, FrameSize says %d, another decoder %d: %v", len(out), n, len(plain), failed)
		}
		if _, err := chunk.Decode(nil, append(frame, frame...), chunk.Sum(plain)); err == nil {
			t.Fatal("accepted twice over")
		}
	})
}
