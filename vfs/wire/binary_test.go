package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

func someIDs(n int) []chunk.ID {
	ids := make([]chunk.ID, n)
	for i := range ids {
		ids[i] = chunk.Sum(fmt.Append(nil, i))
	}
	return ids
}

func TestIDsCross(t *testing.T) {
	for _, n := range []int{0, 1, 2, wire.BatchMax} {
		var b bytes.Buffer
		if err := wire.WriteIDs(&b, someIDs(n)); err != nil || b.Len() != 32*n {
			t.Fatal(b.Len(), err)
		}
		got, err := wire.ReadIDs(iotest.HalfReader(&b))
		if err != nil || len(got) != n || n > 0 && !reflect.DeepEqual(got, someIDs(n)) {
			t.Errorf("%d ids came back as %d: %v", n, len(got), err)
		}
	}
}

func TestIDsThatAreNoneAreRefused(t *testing.T) {
	for _, n := range []int{1, 31, 33, 32*wire.BatchMax - 1, 32*wire.BatchMax + 1, 32 * (wire.BatchMax + 1), 64 * wire.BatchMax} {
		if ids, err := wire.ReadIDs(bytes.NewReader(make([]byte, n))); !errors.Is(err, wire.ErrInvalid) || ids != nil {
			t.Errorf("%d bytes: %d ids, %v", n, len(ids), err)
		}
	}
	if _, err := wire.ReadIDs(iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a broken link: %v", err)
	}
}

func someFrames() []wire.Frame {
	ids := someIDs(5)
	return []wire.Frame{
		{Status: wire.FrameOK, ID: ids[0], Bytes: []byte("a frame")},
		{Status: wire.FrameMissing, ID: ids[1]},
		{Status: wire.FrameOK, ID: ids[2], Bytes: make([]byte, chunk.MaxFrame)},
		{Status: wire.FrameDamaged, ID: ids[3]},
		{Status: wire.FrameDenied, ID: ids[4]},
		{Status: wire.FrameEnd},
	}
}

func writeFrames(t testing.TB, fs []wire.Frame) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, f := range fs {
		if err := wire.WriteFrame(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func readFrames(r io.Reader) (fs []wire.Frame, err error) {
	var buf []byte
	for {
		var f wire.Frame
		f, buf, err = wire.ReadFrame(r, buf)
		if err != nil {
			return fs, err
		}
		f.Bytes = bytes.Clone(f.Bytes)
		fs = append(fs, f)
	}
}

func TestFramesCross(t *testing.T) {
	want := someFrames()
	got, err := readFrames(iotest.HalfReader(bytes.NewReader(writeFrames(t, want))))
	if !errors.Is(err, io.EOF) || len(got) != len(want) {
		t.Fatalf("%d records, %v", len(got), err)
	}
	for i := range got {
		if got[i].Status != want[i].Status || got[i].ID != want[i].ID || !bytes.Equal(got[i].Bytes, want[i].Bytes) {
			t.Errorf("record %d came back as status %d, %d bytes", i, got[i].Status, len(got[i].Bytes))
		}
	}
}

// A stream cut anywhere is noticed, and only one cut between two records is io.EOF.
func TestACutStreamIsNoticed(t *testing.T) {
	fs := someFrames()[:2]
	all := writeFrames(t, fs)
	between := wire.HeadSize + len(fs[0].Bytes)
	for n := range all {
		_, err := readFrames(bytes.NewReader(all[:n]))
		want := io.ErrUnexpectedEOF
		if n == 0 || n == between {
			want = io.EOF
		}
		if !errors.Is(err, want) {
			t.Errorf("cut at %d: %v, want %v", n, err, want)
		}
	}
}

func TestRecordsThatAreNoneAreRefused(t *testing.T) {
	id := chunk.Sum(nil)
	for what, b := range map[string][]byte{
		"unknown status":   wire.AppendHead(nil, 4, id, 0),
		"frame of nothing": wire.AppendHead(nil, wire.FrameOK, id, 0),
		"frame too large":  wire.AppendHead(nil, wire.FrameOK, id, chunk.MaxFrame+1),
		"4 GiB":            wire.AppendHead(nil, wire.FrameOK, id, 1<<32-1),
		"missing with one": append(wire.AppendHead(nil, wire.FrameMissing, id, 1), 'x'),
		"end with one":     append(wire.AppendHead(nil, wire.FrameEnd, chunk.ID{}, 1), 'x'),
		"end with an id":   wire.AppendHead(nil, wire.FrameEnd, id, 0),
	} {
		if _, _, err := wire.ReadFrame(bytes.NewReader(b), nil); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWriteErrorsAreReturned(t *testing.T) {
	fail := &limited{room: wire.HeadSize + 3}
	if err := wire.WriteFrame(fail, someFrames()[0]); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
	if err := wire.WriteIDs(&limited{room: 40}, someIDs(2)); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
	if err := wire.WriteFileAnswers(&limited{}, make([]wire.FileAnswer, 1)); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

// limited is a writer with room for some bytes.
type limited struct{ room int }

func (l *limited) Write(b []byte) (int, error) {
	if l.room -= len(b); l.room < 0 {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}

func largeContent(id chunk.ID, n int, listed bool) (uint64, cvd.Content) {
	c := cvd.Content{ID: id, Listed: listed}
	for i := range n {
		ref := cvd.Ref{ID: chunk.Sum(fmt.Append(id[:], i)), Size: chunk.MaxSize}
		if n == 1 && !listed {
			ref.ID = id
		}
		c.Chunks = append(c.Chunks, ref)
	}
	return uint64(n) * chunk.MaxSize, c
}

func drawAnswers(t *rapid.T) (ids []chunk.ID, as []wire.FileAnswer) {
	for _, id := range someIDs(rapid.IntRange(0, 5).Draw(t, "answers")) {
		a := wire.FileAnswer{Have: wire.Have(rapid.IntRange(0, 2).Draw(t, "have"))}
		if a.Have != wire.Missing && rapid.Bool().Draw(t, "large") {
			listed := rapid.Bool().Draw(t, "listed")
			a.Size, a.Content = largeContent(id, rapid.IntRange(1, cvd.InEntryMax).Draw(t, "chunks"), listed)
		}
		ids, as = append(ids, id), append(as, a)
	}
	return ids, as
}

func TestFileAnswersCross(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids, want := drawAnswers(t)
		var b bytes.Buffer
		if err := wire.WriteFileAnswers(&b, want); err != nil {
			t.Fatal(err)
		}
		whole := bytes.Clone(b.Bytes())
		got, err := wire.ReadFileAnswers(iotest.OneByteReader(&b), ids)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d answers, %v", len(got), err)
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("%+v came back as %+v", want[i], got[i])
			}
		}
		for n := range whole {
			if _, err := wire.ReadFileAnswers(bytes.NewReader(whole[:n]), ids); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("cut at %d of %d: %v", n, len(whole), err)
			}
		}
	})
}

func TestFileAnswersThatAreNoneAreRefused(t *testing.T) {
	ids := someIDs(2)
	size, c := largeContent(ids[0], 3, false)
	content := cvd.EncodeContent(size, &c)
	small := cvd.Content{Inline: []byte("abc")}
	answer := func(have, flag byte, content []byte) []byte {
		n := len(content)
		return append([]byte{have, flag, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, content...)
	}
	for what, b := range map[string][]byte{
		"have 3":                 answer(3, 1, content),
		"flag 2":                 answer(1, 2, content),
		"missing with a content": answer(0, 1, content),
		"another file":           answer(1, 1, cvd.EncodeContent(size, &cvd.Content{ID: ids[1], Chunks: c.Chunks})),
		"an inline file":         answer(1, 1, cvd.EncodeContent(3, &small)),
		"a file of one chunk":    answer(1, 1, cvd.EncodeContent(cvd.InlineMax+1, &cvd.Content{ID: ids[0]})),
		"bytes behind":           answer(1, 1, append(bytes.Clone(content), 0)),
		"does not add up":        answer(1, 1, cvd.EncodeContent(size+1, &c)),
		"huge":                   {1, 1, 0xff, 0xff, 0xff, 0xff},
	} {
		as, err := wire.ReadFileAnswers(bytes.NewReader(b), ids[:1])
		if !errors.Is(err, wire.ErrInvalid) && !errors.Is(err, cvd.ErrFormat) || as != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzIDs(f *testing.F) {
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		ids, err := wire.ReadIDs(bytes.NewReader(b))
		var again bytes.Buffer
		if err == nil && (wire.WriteIDs(&again, ids) != nil || !bytes.Equal(again.Bytes(), b)) {
			t.Fatalf("%x came back as %x", b, again.Bytes())
		}
	})
}

func FuzzFrameRecords(f *testing.F) {
	all := writeFrames(f, someFrames()[:2])
	f.Add(all)
	f.Add(all[:50])
	f.Add(writeFrames(f, someFrames()[3:]))
	for _, frame := range vectors(f) {
		f.Add(writeFrames(f, []wire.Frame{{ID: chunk.Sum(frame), Bytes: frame}, {Status: wire.FrameEnd}}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fs, err := readFrames(bytes.NewReader(b))
		if err == nil {
			t.Fatal("no end")
		}
		if again := writeFrames(t, fs); !bytes.HasPrefix(b, again) || errors.Is(err, io.EOF) && len(again) != len(b) {
			t.Fatalf("%x came back as %x: %v", b, again, err)
		}
	})
}

// vectors are old frames, committed beside package chunk.
func vectors(f *testing.F) (frames [][]byte) {
	names, err := filepath.Glob("../chunk/testdata/frames/*.zst")
	if err != nil || len(names) == 0 {
		f.Fatal("no old frames", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		frames = append(frames, b)
	}
	return frames
}

func FuzzFileAnswers(f *testing.F) {
	ids := someIDs(2)
	for _, listed := range []bool{false, true} {
		var b bytes.Buffer
		a := wire.FileAnswer{Have: wire.Unproven}
		a.Size, a.Content = largeContent(ids[0], 2, listed)
		if err := wire.WriteFileAnswers(&b, []wire.FileAnswer{a, {Have: wire.Missing}}); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		as, err := wire.ReadFileAnswers(bytes.NewReader(b), ids)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := wire.WriteFileAnswers(&again, as); err != nil || !bytes.HasPrefix(b, again.Bytes()) {
			t.Fatalf("%x came back as %x", b, again.Bytes())
		}
	})
}
