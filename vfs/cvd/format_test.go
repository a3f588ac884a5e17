package cvd

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
)

func specification(t *testing.T) string {
	text, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks are the indented-code blocks of a language in FORMAT.md.
func blocks(t *testing.T, language string) (all []string) {
	parts := strings.Split(specification(t), "\n```"+language+"\n")
	for _, part := range parts[1:] {
		text, _, _ := strings.Cut(part, "\n```\n")
		all = append(all, text)
	}
	return all
}

// example is the desktop that FORMAT.md works through: its nodes in the order
// in which they are made, the root last.
func example(t *testing.T) (plains [][]byte) {
	put := func(plain []byte) (chunk.ID, error) {
		plains = append(plains, bytes.Clone(plain))
		return chunk.Sum(plain), nil
	}
	dir := func(es ...Entry) Entry {
		b := NewBuilder(put)
		for i := range es {
			if err := b.Add(&es[i]); err != nil {
				t.Fatal(err)
			}
		}
		id, sums, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return Entry{Type: Dir, Mode: 0o755, Mtime: Time{Sec: 1700000000}, Tree: id, Sums: sums}
	}
	etc := dir(
		Entry{Name: "hosts", Type: File, Mode: 0o644, Mtime: Time{1700000000, 5}, Size: 20, Content: Content{Inline: []byte("127.0.0.1 localhost\n")}},
		Entry{Name: "mtab", Type: Symlink, Mode: 0o777, Mtime: Time{Sec: -1}, Target: "/proc/mounts"},
		Entry{Name: "shadow", Type: File, Mode: 0o640, GID: 42, Mtime: Time{Sec: 1700000000}, Size: 4096, Content: Content{ID: chunk.Sum(make([]byte, 4096))}},
	)
	etc.Name = "etc"
	top := dir(etc)
	root, err := EncodeRoot(&top)
	if err != nil {
		t.Fatal(err)
	}
	return append(plains, root)
}

// The specification's example is what the code makes, byte for byte.
func TestFormatExample(t *testing.T) {
	got, want := blocks(t, "hex"), example(t)
	if len(got) != len(want) {
		t.Fatalf("FORMAT.md has %d blocks of hex, want %d", len(got), len(want))
	}
	for i, plain := range want {
		id := "id " + chunk.Sum(plain).String()
		if !bytes.Equal(unhex(t, got[i]), plain) || !strings.Contains(got[i], id) {
			t.Errorf("block %d should be %s of\n%x\nand is\n%s", i, id, plain, got[i])
		}
	}
}

// The specification's cuts of a stream that anybody can make are those of the code.
func TestFormatCuts(t *testing.T) {
	x := uint64(1)
	stream := make([]byte, 4<<20)
	for i := range stream {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		stream[i] = byte(x >> 56)
	}
	var lines []string
	for _, c := range []struct {
		name string
		cut  chunk.Cut
	}{{"coarse", chunk.Coarse}, {"fine", chunk.Fine}, {"finest", chunk.Finest}} {
		s := chunk.NewSplitter(bytes.NewReader(stream), c.cut, nil)
		line := c.name
		for range 8 {
			b, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			line += fmt.Sprint(" ", len(b))
		}
		lines = append(lines, line)
	}
	want := strings.Join(lines, "\n")
	if got := blocks(t, "cuts"); len(got) != 1 || got[0] != want {
		t.Errorf("FORMAT.md says\n%s\nand the code\n%s", got, want)
	}
}

// The limits that the specification states are those of the code.
func TestFormatLimits(t *testing.T) {
	text := specification(t)
	for _, c := range []struct {
		name  string
		value int
	}{
		{"MaxSize", chunk.MaxSize},
		{"WholeMax", chunk.WholeMax},
		{"MaxFrame", chunk.MaxFrame},
		{"HeadMax", chunk.HeadMax},
		{"InlineMax", InlineMax},
		{"NameMax", NameMax},
		{"EntryMax", EntryMax},
		{"ListMax", ListMax},
		{"InEntryMax", InEntryMax},
		{"leafMin", leafMin},
		{"leafMax", leafMax},
		{"cutOneIn", cutOneIn},
		{"levelMax", levelMax},
	} {
		if row := fmt.Sprintf("\n| %s | %d |", c.name, c.value); !strings.Contains(text, row) {
			t.Errorf("FORMAT.md lacks the row %q", row)
		}
	}
}
