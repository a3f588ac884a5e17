package backing

import (
	"bytes"
	"errors"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// marks are one of each kind, with all that a mark may hold besides.
func marks() []Mark {
	id := chunk.Sum([]byte("x"))
	refs := []cvd.Ref{{ID: id, Size: 1 << 20}, {ID: chunk.Sum([]byte("y")), Size: 5}}
	out := []Mark{
		{Tree: id},
		{Tree: id, Listed: 5},
		{Size: 5000, Content: cvd.Content{ID: id}},
		{Size: 1<<20 + 5, Content: cvd.Content{ID: id, Chunks: refs}, Tag: 1 << 63},
		{Size: 1 << 40, Content: cvd.Content{ID: id}, External: true, Tag: 7},
	}
	for _, m := range out[:5] {
		m.Timed, m.Mtime = true, cvd.Time{Sec: -5, Nsec: 999_999_999}
		out = append(out, m)
		if m.Tree.IsZero() {
			m.Sparse, m.Caps = true, bytes.Repeat([]byte{1}, 20)
			out = append(out, m)
		}
	}
	return out
}

func TestMarksComeBack(t *testing.T) {
	for _, m := range marks() {
		b := m.Encode()
		got, err := DecodeMark(b)
		if err != nil || !bytes.Equal(got.Encode(), b) || got.Ranged() != m.Ranged() || got.Size != m.Size ||
			got.Tag != m.Tag || got.Mtime != m.Mtime || got.Timed != m.Timed || got.Sparse != m.Sparse ||
			got.Content.ID != m.Content.ID || got.Tree != m.Tree || got.Listed != m.Listed || !bytes.Equal(got.Caps, m.Caps) {
			t.Errorf("%+v came back as %+v, %v", m, got, err)
		}
		for n := range b { // whatever is cut short is refused, not taken for something else
			if cut, err := DecodeMark(b[:n]); !errors.Is(err, ErrMark) {
				t.Errorf("%d of %d bytes of %+v were taken for %+v, %v", n, len(b), m, cut, err)
			}
		}
	}
}

// Whatever a mark is read from, it is canonical, or an ErrMark.
func FuzzMark(f *testing.F) {
	for _, m := range marks() {
		f.Add(m.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMark(b)
		if err != nil {
			if !errors.Is(err, ErrMark) {
				t.Fatal(err)
			}
			return
		}
		if again := m.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x\nbecame %x", b, again)
		}
	})
}
