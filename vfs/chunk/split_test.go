package chunk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/looming-project/looming/vfs/chunk"
)

var allCuts = []chunk.Cut{
	chunk.Coarse, chunk.Fine, {Min: 1 << 10, Avg: 4 << 10, Max: 16 << 10}, {Min: 64, Avg: 256, Max: 1 << 20},
}

// split cuts all of r and keeps the chunks.
func split(t interface{ Fatal(...any) }, r io.Reader, cut chunk.Cut) (all [][]byte) {
	s := chunk.NewSplitter(r, cut, nil)
	for {
		b, err := s.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.Clone(b))
	}
}

func checkBounds(t interface{ Fatalf(string, ...any) }, all [][]byte, plain []byte, cut chunk.Cut) {
	if !bytes.Equal(bytes.Join(all, nil), plain) {
		t.Fatalf("%d chunks do not make up the %d bytes", len(all), len(plain))
	}
	if len(plain) <= chunk.WholeMax {
		if len(all) != min(1, len(plain)) {
			t.Fatalf("a file of %d bytes is %d chunks", len(plain), len(all))
		}
		return
	}
	for i, b := range all {
		if len(b) > cut.Max || len(b) == 0 || i < len(all)-1 && len(b) < cut.Min {
			t.Fatalf("chunk %d of %d has %d bytes", i, len(all), len(b))
		}
	}
}

func TestChunksMakeUpTheStreamAndKeepTheirBounds(t *testing.T) {
	big := noise(5 << 20)
	copy(big[1<<20:], make([]byte, 2<<20)) // zeros have no cut but the largest
	for _, cut := range allCuts {
		for _, n := range []int{
			0, 1, cut.Min, chunk.WholeMax - 1, chunk.WholeMax, chunk.WholeMax + 1, chunk.MaxSize, chunk.MaxSize + 1,
			2*chunk.MaxSize - 1, 2 * chunk.MaxSize, 2*chunk.MaxSize + 1, len(big),
		} {
			checkBounds(t, split(t, bytes.NewReader(big[:n]), cut), big[:n], cut)
		}
	}
}

func TestChunksOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "unit")
		plain := bytes.Repeat(unit, rapid.IntRange(0, 3000).Draw(t, "times"))
		copy(plain, noise(rapid.IntRange(0, len(plain)).Draw(t, "noise")))
		cut := rapid.SampledFrom(allCuts).Draw(t, "cut")
		checkBounds(t, split(t, bytes.NewReader(plain), cut), plain, cut)
	})
}

// However a reader hands out its bytes, they are cut the same.
func TestChunksDoNotDependOnTheReader(t *testing.T) {
	plain := noise(3<<20 + 777)
	want := split(t, bytes.NewReader(plain), chunk.Fine)
	for name, r := range map[string]io.Reader{
		"one byte":            iotest.OneByteReader(bytes.NewReader(plain)),
		"half":                iotest.HalfReader(bytes.NewReader(plain)),
		"error with the data": iotest.DataErrReader(bytes.NewReader(plain)),
		"joined":              io.MultiReader(bytes.NewReader(plain[:99]), bytes.NewReader(nil), bytes.NewReader(plain[99:])),
	} {
		got := split(t, r, chunk.Fine)
		if len(got) != len(want) {
			t.Errorf("%s: %d chunks, want %d", name, len(got), len(want))
			continue
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("%s: chunk %d differs", name, i)
			}
		}
	}
}

func TestChunksDoNotDependOnTheBuffer(t *testing.T) {
	plain := noise(9 << 20)
	want := split(t, bytes.NewReader(plain), chunk.Coarse)
	s := chunk.NewSplitter(bytes.NewReader(plain), chunk.Coarse, make([]byte, 5*chunk.MaxSize+123))
	for i := 0; ; i++ {
		b, err := s.Next()
		if errors.Is(err, io.EOF) {
			if i != len(want) {
				t.Errorf("%d chunks, want %d", i, len(want))
			}
			return
		}
		if err != nil || !bytes.Equal(b, want[i]) {
			t.Fatalf("chunk %d: %v", i, err)
		}
	}
}

// What is put in or taken out changes the chunks around it alone.
func TestAnEditChangesFewChunks(t *testing.T) {
	plain := noise(8 << 20)
	for _, cut := range []chunk.Cut{chunk.Coarse, chunk.Fine} {
		known := map[chunk.ID]bool{}
		for _, b := range split(t, bytes.NewReader(plain), cut) {
			known[chunk.Sum(b)] = true
		}
		for _, at := range []int{0, 1, 100_000, 3 << 20, 5<<20 + 1, len(plain)} {
			for what, edited := range map[string][]byte{
				"one byte in":      bytes.Join([][]byte{plain[:at], {'x'}, plain[at:]}, nil),
				"10,000 bytes in":  bytes.Join([][]byte{plain[:at], noise(10_000), plain[at:]}, nil),
				"5,000 bytes out":  bytes.Join([][]byte{plain[:at], plain[min(at+5000, len(plain)):]}, nil),
				"grown at the end": append(bytes.Clone(plain), noise(at/10)...),
			} {
				added := 0
				for _, b := range split(t, bytes.NewReader(edited), cut) {
					if !known[chunk.Sum(b)] {
						added += len(b)
					}
				}
				if most := len(edited) - len(plain) + 4*cut.Max; added > most && added > 4*cut.Max {
					t.Errorf("%+v: %s at %d adds %d bytes, more than %d", cut, what, at, added, most)
				}
			}
		}
	}
}

// A cut depends on the 64 bytes before it and on nothing else between Min and Avg.
func TestACutDependsOnTheBytesBeforeIt(t *testing.T) {
	cut := chunk.Cut{Min: 1 << 10, Avg: 16 << 10, Max: 64 << 10}
	plain := noise(64 << 10)
	n := cut.Length(plain)
	if n <= cut.Min || n >= cut.Max {
		t.Fatalf("no cut to look at: %d", n)
	}
	for at := range n - 64 {
		plain[at] ^= 0xff
		if m := cut.Length(plain); m > n {
			t.Fatalf("a change at %d moved the cut from %d to %d", at, n, m)
		}
		plain[at] ^= 0xff
	}
	plain[n-1] ^= 0xff
	if m := cut.Length(plain); m == n {
		t.Error("a change right before the cut left it where it was")
	}
}

// The average says what the name promises: within a third for random bytes.
func TestChunksAreAsLongAsTheirAverage(t *testing.T) {
	plain := noise(32 << 20)
	for _, cut := range []chunk.Cut{chunk.Fine, chunk.Coarse} {
		n := len(plain) / len(split(t, bytes.NewReader(plain), cut))
		if n < cut.Avg*2/3 || n > cut.Avg*4/3 {
			t.Errorf("%+v gives %d on average", cut, n)
		}
	}
}

func TestSplitterReturnsTheReadersError(t *testing.T) {
	broken := errors.New("the disk is gone")
	r := io.MultiReader(bytes.NewReader(noise(3<<20)), iotest.ErrReader(broken))
	s := chunk.NewSplitter(r, chunk.Coarse, nil)
	for range 100 {
		if b, err := s.Next(); err != nil {
			if !errors.Is(err, broken) || b != nil {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			if _, again := s.Next(); !errors.Is(again, broken) {
				t.Errorf("the call after: %v", again)
			}
			return
		}
	}
	t.Error("the error was lost")
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestSplitterGivesUpOnAnIdleReader(t *testing.T) {
	if _, err := chunk.NewSplitter(idle{}, chunk.Coarse, nil).Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte("looming"), uint16(20000), uint8(0), uint16(3))
	f.Add(noise(4096), uint16(70), uint8(1), uint16(4095))
	f.Add([]byte{0}, uint16(65535), uint8(3), uint16(1))
	f.Fuzz(func(t *testing.T, unit []byte, times uint16, which uint8, step uint16) {
		plain := bytes.Repeat(unit, int(times))
		plain = plain[:min(len(plain), 4<<20)]
		cut := allCuts[int(which)%len(allCuts)]
		all := split(t, &stepReader{plain, int(step) + 1}, cut)
		checkBounds(t, all, plain, cut)
		if again := split(t, bytes.NewReader(plain), cut); fmt.Sprint(lengths(all)) != fmt.Sprint(lengths(again)) {
			t.Fatal("another reader, other cuts")
		}
	})
}

func lengths(all [][]byte) (ns []int) {
	for _, b := range all {
		ns = append(ns, len(b))
	}
	return ns
}

// stepReader gives at most step bytes at a time.
type stepReader struct {
	b    []byte
	step int
}

func (r *stepReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b[:min(r.step, len(r.b))])
	r.b = r.b[n:]
	return n, nil
}
