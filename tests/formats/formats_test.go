// Package formats keeps whole desktops as each version of the format stored
// them, and reads them for ever.
package formats

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

var write = flag.Bool("write", false, "write the desktop of the present version where it is missing")

// versions are the desktops that are kept: NAME.frames are the frame records of all chunks,
// NAME.txt the root and what is below it.
var versions = []string{"v1"}

// Invariant 1: what was stored can be read, by any later version, byte for byte.
func TestOldDesktopsAreRead(t *testing.T) {
	for _, v := range versions {
		want, err := os.ReadFile("testdata/" + v + ".txt")
		if *write && errors.Is(err, os.ErrNotExist) {
			want, err = record(t, v), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(want), "\n")
		var root cvd.Root
		if err := root.UnmarshalText([]byte(first)); err != nil {
			t.Fatal(err)
		}
		src := load(t, v)
		compare(t, v, list(t, src, root), string(want))
	}
}

// The present code makes of the same files the same desktop as it did when
// version 1 was fixed: old and new snapshots share their chunks.
func TestDesktopsAreMadeAsBefore(t *testing.T) {
	want, err := os.ReadFile("testdata/v1.txt")
	if err != nil {
		t.Fatal(err)
	}
	src := chunk.Map{}
	compare(t, "v1 made now", list(t, src, desktop(t, src)), string(want))
	if stored := load(t, "v1"); len(stored) != len(src) {
		t.Errorf("%d chunks are made now, %d were stored", len(src), len(stored))
	}
}

func compare(t *testing.T, what, got, want string) {
	t.Helper()
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Fatalf("%s: line %d is\n%s\nwant\n%s", what, i+1, at(a, i), at(b, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}

// load reads the frames of a version and checks each.
func load(t *testing.T, version string) chunk.Map {
	t.Helper()
	b, err := os.ReadFile("testdata/" + version + ".frames")
	if err != nil {
		t.Fatal(err)
	}
	m, r := chunk.Map{}, bytes.NewReader(b)
	for {
		f, _, err := wire.ReadFrame(r, nil)
		if err != nil {
			t.Fatalf("after %d frames: %v", len(m), err)
		}
		if f.Status == wire.FrameEnd {
			break
		}
		plain, err := chunk.Decode(nil, f.Bytes, f.ID)
		if err != nil {
			t.Fatal(err)
		}
		m[f.ID] = plain
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) || len(m) < 40 {
		t.Fatalf("%d frames, and bytes behind them: %v", len(m), err)
	}
	return m
}

// list writes down a desktop: its root, and a line for each entry.
func list(t *testing.T, src chunk.Source, root cvd.Root) string {
	t.Helper()
	top, err := cvd.ReadRoot(t.Context(), src, root)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, root)
	var walk func(dir string, e *cvd.Entry) error
	walk = func(dir string, e *cvd.Entry) error {
		name := path.Join(dir, e.Name)
		fmt.Fprintf(&b, "%q %s %o %d:%d %d.%09d%s\n", name, e.Type, e.Mode, e.UID, e.GID, e.Mtime.Sec, e.Mtime.Nsec, details(t, src, e))
		if e.Type != cvd.Dir {
			return nil
		}
		return cvd.ReadDir(t.Context(), src, e.Tree, func(e *cvd.Entry) error { return walk(name, e) })
	}
	if err := walk("/", top); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// details is all that an entry has besides its name and attributes. Bytes of
// files are read and hashed.
func details(t *testing.T, src chunk.Source, e *cvd.Entry) string {
	var b strings.Builder
	switch e.Type {
	case cvd.File:
		fmt.Fprintf(&b, " %d %s", e.Size, hash(t, src, e.Size, &e.Content))
	case cvd.Dir:
		fmt.Fprintf(&b, " %+v", e.Sums)
	case cvd.Symlink:
		fmt.Fprintf(&b, " -> %q", e.Target)
	case cvd.CharDevice, cvd.BlockDevice:
		fmt.Fprintf(&b, " %d,%d", e.Major, e.Minor)
	}
	if e.Sparse {
		b.WriteString(" sparse")
	}
	if e.Group != 0 {
		fmt.Fprintf(&b, " group %016x", e.Group)
	}
	for _, x := range e.Xattrs {
		fmt.Fprintf(&b, " %s=%x", x.Name, x.Value)
	}
	if w := e.Windows; w != nil {
		fmt.Fprintf(&b, " windows %x %d %x %x %q", w.Attributes, w.Created, w.Security, w.Reparse, w.ShortName)
		for i := range w.Streams {
			s := &w.Streams[i]
			fmt.Fprintf(&b, " :%s %d %s", s.Name, s.Size, hash(t, src, s.Size, &s.Content))
		}
	}
	return b.String()
}

// hash reads a file's bytes and returns their id, which must be what the tree says.
func hash(t *testing.T, src chunk.Source, size uint64, c *cvd.Content) chunk.ID {
	plain := bytes.Clone(c.Inline)
	refs, err := cvd.ChunksOf(context.Background(), src, size, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range refs {
		b, err := chunk.Get(context.Background(), src, r.ID)
		if err != nil || uint64(len(b)) != r.Size {
			t.Fatalf("chunk %s: %d bytes, want %d: %v", r.ID, len(b), r.Size, err)
		}
		plain = append(plain, b...)
	}
	id := chunk.Sum(plain)
	if uint64(len(plain)) != size || size > cvd.InlineMax && id != c.ID {
		t.Fatalf("file %s: %d bytes of %d, %s", c.ID, len(plain), size, id)
	}
	return id
}
