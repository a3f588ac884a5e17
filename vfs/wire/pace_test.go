package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// pieces makes a body of pieces, a second apart.
func pieces(parts ...string) []byte {
	var b []byte
	for i, p := range parts {
		b = append(wire.AppendPieceHead(b, len(p), time.Duration(i+1)*time.Second), p...)
	}
	return b
}

func TestPiecesCross(t *testing.T) {
	body := pieces("abc", "d", string(make([]byte, wire.PieceMax)))
	for _, way := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
		var heard []time.Duration
		r := &wire.PieceReader{R: way(bytes.NewReader(body)), Heard: func(sent time.Duration) { heard = append(heard, sent) }}
		got, err := io.ReadAll(r)
		if err != nil || string(got[:4]) != "abcd" || len(got) != 4+wire.PieceMax {
			t.Errorf("%d bytes came: %v", len(got), err)
		}
		if len(heard) != 3 || heard[0] != time.Second || heard[2] != 3*time.Second {
			t.Errorf("heard %v", heard)
		}
	}
}

// The example of PROTOCOL.md.
func TestPieceVector(t *testing.T) {
	if got := hex.EncodeToString(pieces("abc")); got != "0000000300000000000f4240616263" {
		t.Errorf("got %s", got)
	}
}

func TestPiecesThatBreakOff(t *testing.T) {
	body := pieces("abc", "def")
	for n := range body {
		_, err := io.ReadAll(&wire.PieceReader{R: bytes.NewReader(body[:n])})
		whole := n == 0 || n == len(body)/2
		if whole != (err == nil) || !whole && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes of %d: %v", n, len(body), err)
		}
	}
}

func TestPiecesThatAreNoneAreRefused(t *testing.T) {
	for _, head := range []string{
		"00000000" + "0000000000000001", "00010001" + "0000000000000001", "ffffffff" + "0000000000000001", "00000001" + "ffffffffffffffff",
	} {
		b, _ := hex.DecodeString(head + "00")
		if _, err := io.ReadAll(&wire.PieceReader{R: bytes.NewReader(b)}); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%s: %v", head, err)
		}
	}
}

func TestRatesCross(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "1": 1, "250000": 250000} {
		if got, err := wire.ParseRate(text); err != nil || got != want || wire.FormatRate(got) != text {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "1.5", "demand", "99999999999999999999"} {
		if _, err := wire.ParseRate(text); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is read as pieces, cut short or not, is what was between their heads.
func FuzzPieces(f *testing.F) {
	f.Add(pieces("abc", "d"))
	f.Add(pieces("abc")[:14])
	f.Fuzz(func(t *testing.T, b []byte) {
		heads := 0
		got, err := io.ReadAll(&wire.PieceReader{R: bytes.NewReader(b), Heard: func(time.Duration) { heads++ }})
		if n := heads*wire.PieceHead + len(got); n > len(b) || err == nil && n != len(b) {
			t.Errorf("%d heads and %d bytes of %d: %v", heads, len(got), len(b), err)
		}
	})
}
