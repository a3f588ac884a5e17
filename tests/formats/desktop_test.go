package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// maker makes the desktop that version 1 keeps: one of each thing, by fixed rules.
type maker struct {
	t   *testing.T
	src chunk.Map
}

// lines are n bytes of text that repeats little and packs well.
func lines(seed string, n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		id := chunk.Sum(fmt.Append(nil, seed, i))
		fmt.Fprintf(&b, "line %d of %s with %x\n", i, seed, id[:2])
	}
	return b.Bytes()[:n]
}

func desktop(t *testing.T, src chunk.Map) cvd.Root {
	m := &maker{t, src}
	top := m.dir("",
		m.dir("big", m.file("coarse.bin", lines("coarse", 700_000)), m.file("finest.mbox", lines("finest", 700_000)),
			m.file("fine.img", lines("fine", 300_000)), m.file("zeros", make([]byte, 3<<20)), m.file("one chunk", make([]byte, 200_000))),
		m.dir("dev", cvd.Entry{Name: "null", Type: cvd.CharDevice, Major: 1, Minor: 3}, cvd.Entry{Name: "sda", Type: cvd.BlockDevice, Major: 8},
			cvd.Entry{Name: "pipe", Type: cvd.Fifo}, cvd.Entry{Name: "log", Type: cvd.Socket}),
		m.dir("empty"),
		m.dir("etc", m.file("hosts", []byte("127.0.0.1 localhost\n")), m.file("nothing", nil), m.with(m.file("capable", lines("c", 3000)), func(e *cvd.Entry) {
			e.Mode = 0o6755
			e.Xattrs = []cvd.Xattr{{Name: "security.capability", Value: []byte{1, 0, 0, 2, 0, 32, 0, 0}}, {Name: "user.empty"}}
		}), cvd.Entry{Name: "mtab", Type: cvd.Symlink, Target: "/proc/self/mounts", Mode: 0o777}),
		m.dir("many", m.many(1800)...),
		m.dir("names", m.file(strings.Repeat("n", 255), nil), m.file("not UTF-8 \xff\xfe", nil), m.file("new\nline", nil), m.file("\u00e4", nil), m.file("...", nil)),
		m.dir("sizes", m.sizes()...),
		m.dir("windows", m.with(m.file("setup.exe", lines("exe", 5000)), m.windows)),
	)
	top.Mode = 0o1755
	plain, err := cvd.EncodeRoot(&top)
	if err != nil {
		t.Fatal(err)
	}
	id, err := src.Put(plain)
	if err != nil {
		t.Fatal(err)
	}
	return cvd.Root(id)
}

func (m *maker) with(e cvd.Entry, fill func(*cvd.Entry)) cvd.Entry {
	fill(&e)
	return e
}

func (m *maker) windows(e *cvd.Entry) {
	s := m.file("Zone.Identifier", []byte("[ZoneTransfer]\r\nZoneId=3\r\n"))
	l := m.file("large", lines("stream", 200_000))
	e.Windows = &cvd.Windows{
		Attributes: 0x21, Created: 133_444_555_666_777_888, Security: []byte{1, 0, 4, 0x80}, Reparse: []byte{3, 0, 0, 0xa0}, ShortName: "SETUP~1.EXE",
		Streams: []cvd.Stream{{Name: s.Name, Size: s.Size, Content: s.Content}, {Name: l.Name, Size: l.Size, Content: l.Content}},
	}
}

// many fill several parts of a directory.
func (m *maker) many(n int) (es []cvd.Entry) {
	for i := range n {
		e := m.file(fmt.Sprintf("entry-%04d", i), lines("entry", i%60))
		e.Mtime = cvd.Time{Sec: int64(i) - 100, Nsec: uint32(i)}
		if i%1000 == 7 {
			e.Group = cvd.LinkGroup("many/entry-0007")
		}
		es = append(es, e)
	}
	return es
}

// sizes are files around every limit.
func (m *maker) sizes() (es []cvd.Entry) {
	for _, limit := range []int{cvd.InlineMax, chunk.WholeMax, chunk.MaxSize} {
		for _, n := range []int{limit - 1, limit, limit + 1} {
			es = append(es, m.with(m.file(fmt.Sprintf("%07d", n), make([]byte, n)), func(e *cvd.Entry) { e.Sparse = n > limit }))
		}
	}
	return es
}

func (m *maker) file(name string, plain []byte) cvd.Entry {
	e := cvd.Entry{Name: name, Type: cvd.File, Mode: 0o644, UID: 1000, GID: 1000, Mtime: cvd.Time{Sec: 1700000000, Nsec: 1}, Size: uint64(len(plain))}
	if len(plain) <= cvd.InlineMax {
		e.Content.Inline = plain
		return e
	}
	var refs []cvd.Ref
	s := chunk.NewSplitter(bytes.NewReader(plain), chunk.CutFor(name, plain), nil)
	for {
		b, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			m.t.Fatal(err)
		}
		id, _ := m.src.Put(b) // never fails
		refs = append(refs, cvd.Ref{ID: id, Size: uint64(len(b))})
	}
	e.Content.ID = chunk.Sum(plain)
	if len(plain) > chunk.WholeMax {
		c, err := cvd.ListContent(e.Content.ID, refs, m.src.Put)
		if err != nil {
			m.t.Fatal(err)
		}
		e.Content = c
	}
	return e
}

func (m *maker) dir(name string, es ...cvd.Entry) cvd.Entry {
	slices.SortFunc(es, func(a, b cvd.Entry) int { return strings.Compare(a.Name, b.Name) })
	b := cvd.NewBuilder(m.src.Put)
	for i := range es {
		if err := b.Add(&es[i]); err != nil {
			m.t.Fatal(err)
		}
	}
	id, sums, err := b.Finish()
	if err != nil {
		m.t.Fatal(err)
	}
	return cvd.Entry{Name: name, Type: cvd.Dir, Mode: 0o755, Mtime: cvd.Time{Sec: 1700000000}, Tree: id, Sums: sums}
}

// record writes the files of a version and returns its list.
func record(t *testing.T, version string) []byte {
	src := chunk.Map{}
	text := list(t, src, desktop(t, src))
	var b bytes.Buffer
	ids := make([]chunk.ID, 0, len(src))
	for id := range src {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b chunk.ID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		if err := wire.WriteFrame(&b, wire.Frame{ID: id, Bytes: chunk.Encode(nil, src[id])}); err != nil {
			t.Fatal(err)
		}
	}
	if err := wire.WriteFrame(&b, wire.Frame{Status: wire.FrameEnd}); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{".frames": b.Bytes(), ".txt": []byte(text)} {
		if err := os.WriteFile("testdata/"+version+name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return []byte(text)
}
