package sis

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/wire"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newVolume(t testing.TB) Volume {
	t.Helper()
	v, err := MakeDir(t.TempDir())
	must(t, err)
	return v
}

// plains are chunks of all sizes.
func plains() (all [][]byte) {
	for _, n := range []int{0, 1, 600, 5000, 300_000, chunk.MaxSize, 7, 90_000, chunk.MaxSize - 1, 1200} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i*i>>3 + n)
		}
		all = append(all, b)
	}
	return all
}

func records(all [][]byte) []byte {
	var b []byte
	for _, p := range all {
		f := chunk.Encode(nil, p)
		b = append(wire.AppendHead(b, wire.FrameOK, chunk.Sum(p), len(f)), f...)
	}
	return b
}

// pack writes plains as one pack.
func pack(t testing.TB, v Volume, name PackName, all [][]byte) []Entry {
	t.Helper()
	w, err := NewWriter(v, "owner", name)
	must(t, err)
	defer w.Abort()
	must(t, Receive(t.Context(), bytes.NewReader(records(all)), w.Append))
	entries, err := w.Seal()
	must(t, err)
	return entries
}

func open(t testing.TB, v Volume, name PackName) PackReader {
	t.Helper()
	r, err := v.Open(name)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// What goes in comes out, by the index as sealed and as read back, and by a scan.
func TestPack(t *testing.T) {
	v, name, all := newVolume(t), NewName(), plains()
	sealed := pack(t, v, name, all)
	r := open(t, v, name)
	index, err := Index(r, name)
	must(t, err)
	if fmt.Sprint(index) != fmt.Sprint(sealed) || len(index) != len(all) {
		t.Fatalf("index %v, sealed %v", index, sealed)
	}
	wants := make([]*Want, len(all))
	for i := range index {
		wants[len(all)-1-i] = &Want{Entry: index[i]}
	}
	Read(r, wants, nil)
	for _, w := range wants {
		must(t, w.Err)
		plain, err := chunk.Decode(nil, w.Frame, w.ID)
		if err != nil || len(plain) != int(w.Plain) {
			t.Errorf("chunk %s: %d bytes, %v", w.ID, len(plain), err)
		}
	}
	seen := 0
	must(t, Scan(r, name, func(e Entry, damage error) error {
		if damage != nil || e != sealed[seen] {
			t.Errorf("scan: entry %d is %v, %v; want %v", seen, e, damage, sealed[seen])
		}
		seen++
		return nil
	}))
	if seen != len(all) {
		t.Errorf("scan saw %d of %d", seen, len(all))
	}
}

// FORMAT.md's worked example, byte for byte.
func TestExample(t *testing.T) {
	v, err := MakeDir(t.TempDir())
	must(t, err)
	name := PackName{1, 2, 3, 4, 5, 6, 7, 8}
	pack(t, v, name, [][]byte{[]byte("looming"), []byte("a mirage")})
	got, err := os.ReadFile(v.(*dirVolume).path(name))
	must(t, err)
	doc, err := os.ReadFile("FORMAT.md")
	must(t, err)
	_, example, ok := strings.Cut(string(doc), "```hex\n")
	example, _, end := strings.Cut(example, "```")
	if !ok || !end {
		t.Fatal("FORMAT.md has no example")
	}
	var text strings.Builder
	for line := range strings.Lines(example) {
		bytes, _, _ := strings.Cut(line, "|")
		text.WriteString(strings.Join(strings.Fields(bytes), ""))
	}
	want, err := hex.DecodeString(text.String())
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("the pack is\n%x\nand FORMAT.md says\n%x", got, want)
	}
}

// Invariant 3: any flipped byte is found, and costs at most the record that it is in.
func TestEveryByte(t *testing.T) {
	v, name := newVolume(t), NewName()
	all := [][]byte{[]byte("first chunk"), bytes.Repeat([]byte("second "), 40), []byte("third")}
	entries := pack(t, v, name, all)
	path := v.(*dirVolume).path(name)
	whole, err := os.ReadFile(path)
	must(t, err)
	recordsEnd := int(entries[2].end())
	for at := range whole {
		b := bytes.Clone(whole)
		b[at] ^= 0x20
		good, bad := 0, 0
		err := Scan(memory{bytes.NewReader(b)}, name, func(e Entry, damage error) error {
			if damage != nil {
				bad++
			} else if string(e.ID[:]) != string(entries[good+bad].ID[:]) {
				t.Errorf("byte %d: a wrong chunk counts as whole", at)
			} else {
				good++
			}
			return nil
		})
		switch {
		case at < headerSize && !errors.Is(err, ErrPack):
			t.Errorf("byte %d of the header: %v", at, err)
		case at >= headerSize && at < recordsEnd && (err != nil || bad != 1 || good != 2):
			t.Errorf("byte %d of a record: %d whole, %d damaged, %v", at, good, bad, err)
		case at >= recordsEnd && (!errors.Is(err, ErrPack) || good != 3):
			t.Errorf("byte %d of the index: %d whole, %v; want all and no index", at, good, err)
		}
	}
}

type memory struct{ *bytes.Reader }

func (m memory) Size() (int64, error) { return m.Reader.Size(), nil }
func (memory) Close() error           { return nil }

// A pack cut anywhere gives up the records that are whole, and no others.
func TestEveryLength(t *testing.T) {
	v, name := newVolume(t), NewName()
	entries := pack(t, v, name, [][]byte{[]byte("first chunk"), bytes.Repeat([]byte("second "), 40), []byte("third")})
	whole, err := os.ReadFile(v.(*dirVolume).path(name))
	must(t, err)
	for n := range len(whole) {
		want := 0
		for i := range entries {
			if entries[i].end() <= int64(n) {
				want++
			}
		}
		good := 0
		err := Scan(memory{bytes.NewReader(whole[:n])}, name, func(_ Entry, damage error) error {
			if damage == nil {
				good++
			}
			return nil
		})
		if good != want || err == nil {
			t.Errorf("cut to %d bytes: %d whole records, want %d; %v", n, good, want, err)
		}
	}
}

// A bad record ends an upload; what came before it is handed over, in order, and nothing after it.
func TestReceive(t *testing.T) {
	all := plains()
	for bad := range all {
		body := records(all)
		at := len(records(all[:bad]))
		body[at+1] ^= 1 // of the id
		var got []Entry
		err := Receive(t.Context(), bytes.NewReader(body), func(s *Slab) error {
			got = append(got, s.Entries...)
			return nil
		})
		var b *BadFrame
		if !errors.As(err, &b) || !errors.Is(err, wire.ErrIntegrity) || len(got) != bad {
			t.Fatalf("bad record %d: %d handed over, %v", bad, len(got), err)
		}
		for i, e := range got {
			if e.ID != chunk.Sum(all[i]) || int(e.Plain) != len(all[i]) {
				t.Errorf("entry %d: %v", i, e)
			}
		}
	}
}

// The error of the sink is what Receive returns, and the sender's rest is taken off the line.
func TestReceiveSinkFails(t *testing.T) {
	full := errors.New("full")
	body := bytes.NewReader(records(append(plains(), plains()...)))
	if err := Receive(t.Context(), body, func(*Slab) error { return full }); !errors.Is(err, full) {
		t.Error(err)
	}
	if body.Len() > 0 {
		t.Errorf("%d bytes stay on the line", body.Len())
	}
}

// An upload has a limit, and what came up to it counts.
func TestReceiveTooMuch(t *testing.T) {
	plain := make([]byte, chunk.MaxSize)
	for i := range plain {
		plain[i] = byte(i * i * i >> 7)
	}
	frame := chunk.Encode(nil, plain)
	record := append(wire.AppendHead(nil, wire.FrameOK, chunk.Sum(plain), len(frame)), frame...)
	fits := wire.PackMax / len(frame)
	n := 0
	err := Receive(t.Context(), io.LimitReader(repeat{record, new(int)}, int64(len(record)*(fits+2))), func(s *Slab) error {
		n += len(s.Entries)
		return nil
	})
	if !errors.Is(err, wire.ErrInvalid) || n != fits {
		t.Errorf("%d records, want %d: %v", n, fits, err)
	}
}

// repeat is a stream of one record again and again.
type repeat struct {
	b  []byte
	at *int
}

func (r repeat) Read(p []byte) (int, error) {
	n := copy(p, r.b[*r.at:])
	*r.at = (*r.at + n) % len(r.b)
	return n, nil
}

// A volume is known by its id file: an empty mount point, another volume, a directory in use are not taken for it.
func TestVolumeIdentity(t *testing.T) {
	dir := t.TempDir()
	v, err := MakeDir("file://" + dir)
	must(t, err)
	again, err := MakeDir(dir)
	must(t, err)
	if again.ID() != v.ID() {
		t.Error("a volume that is made again got another id")
	}
	if _, err := OpenDir(dir, VolumeID{1}); !errors.Is(err, ErrVolume) {
		t.Errorf("another volume: %v", err)
	}
	if _, err := OpenDir(t.TempDir(), v.ID()); !errors.Is(err, ErrVolume) {
		t.Errorf("an empty directory: %v", err)
	}
	used := t.TempDir()
	must(t, os.WriteFile(filepath.Join(used, "thesis.odt"), nil, 0o600))
	if _, err := MakeDir(used); err == nil || !strings.Contains(err.Error(), "thesis.odt") {
		t.Errorf("a directory in use: %v", err)
	}
	for _, address := range []string{"relative", "s3://bucket", "file://host/path", "file://%zz"} {
		if _, err := MakeDir(address); err == nil {
			t.Errorf("%s became a volume", address)
		}
	}
	must(t, os.Remove(filepath.Join(dir, idFile)))
	if _, err := v.Create("owner", NewName()); !errors.Is(err, ErrVolume) {
		t.Errorf("a write without the id file: %v", err)
	}
	if _, err := v.Open(NewName()); !errors.Is(err, ErrVolume) {
		t.Errorf("a read without the id file: %v", err)
	}
}

// Packs that were not committed are not seen, and go with their owner.
func TestSweep(t *testing.T) {
	v := newVolume(t)
	kept := NewName()
	pack(t, v, kept, plains()[:3])
	for _, owner := range []string{"dead", "alive"} {
		f, err := v.Create(owner, NewName())
		must(t, err)
		_, err = f.Write([]byte("half"))
		must(t, err)
	}
	must(t, v.Sweep(func(owner string) bool { return owner == "dead" }))
	left, err := filepath.Glob(filepath.Join(v.Name(), incoming, "*", "*"))
	must(t, err)
	if len(left) != 1 || !strings.Contains(left[0], "alive") {
		t.Errorf("left %v", left)
	}
	var names []PackName
	must(t, v.Each(func(n PackName) error { names = append(names, n); return nil }))
	if len(names) != 1 || names[0] != kept {
		t.Errorf("packs %v, want %s", names, kept)
	}
	must(t, v.Delete(kept))
	must(t, v.Delete(kept))
	if _, err := v.Open(kept); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a deleted pack: %v", err)
	}
	if free, total, err := v.Space(); err != nil || free <= 0 || total < free {
		t.Errorf("space %d of %d, %v", free, total, err)
	}
}

func FuzzScan(f *testing.F) {
	v, name := newVolume(f), PackName{1}
	pack(f, v, name, [][]byte{[]byte("first chunk"), []byte("second")})
	whole, err := os.ReadFile(v.(*dirVolume).path(name))
	must(f, err)
	f.Add(whole)
	f.Add(whole[:60])
	f.Fuzz(func(t *testing.T, b []byte) {
		// Whatever the bytes are, what counts as whole is.
		_ = Scan(memory{bytes.NewReader(b)}, name, func(e Entry, damage error) error {
			if damage == nil && e.end() > int64(len(b)) {
				t.Errorf("entry %v lies outside", e)
			}
			return nil
		})
	})
}
