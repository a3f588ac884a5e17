package cvd

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/looming-project/looming/vfs/chunk"
)

// What rapid draws: everything that an entry may hold, and nothing else.

func drawID(t *rapid.T, label string) (id chunk.ID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), len(id), len(id)).Draw(t, label))
	return id
}

func drawName(t *rapid.T) string {
	b := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "name")
	for i := range b {
		if b[i] == 0 || b[i] == '/' {
			b[i] = 0xff // not UTF-8, and fine
		}
	}
	if name := string(b); name != "." && name != ".." {
		return name
	}
	return "..."
}

func drawBytes(t *rapid.T, label string, most int) []byte {
	return rapid.SliceOfN(rapid.Byte(), 0, most).Draw(t, label)
}

func drawContent(t *rapid.T) (uint64, Content) {
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 0:
		b := drawBytes(t, "inline", 60)
		if rapid.Bool().Draw(t, "largest") {
			b = slices.Concat(b, make([]byte, InlineMax-len(b)))
		}
		return uint64(len(b)), Content{Inline: b}
	case 1:
		return rapid.Uint64Range(InlineMax+1, chunk.WholeMax).Draw(t, "size"), Content{ID: drawID(t, "id")}
	case 2:
		return drawRefs(t, rapid.IntRange(1, InEntryMax).Draw(t, "chunks"), chunk.MaxSize, false)
	}
	return drawRefs(t, rapid.IntRange(1, 40).Draw(t, "lists"), chunk.MaxSize*ListMax, true)
}

func drawRefs(t *rapid.T, n int, most uint64, listed bool) (size uint64, c Content) {
	c = Content{ID: drawID(t, "id"), Listed: listed}
	for i := range n {
		id := chunk.Sum(fmt.Append(c.ID[:], i))
		if n == 1 && !listed {
			id = c.ID
		}
		c.Chunks = append(c.Chunks, Ref{id, rapid.Uint64Range(chunk.WholeMax+1, most).Draw(t, "chunk")})
		size += c.Chunks[i].Size
	}
	return size, c
}

func drawEntry(t *rapid.T, name string) Entry {
	e := Entry{
		Name: name, Type: Type(rapid.IntRange(int(File), int(Socket)).Draw(t, "type")),
		Mode: rapid.Uint32Range(0, 0o7777).Draw(t, "mode"), UID: rapid.Uint32().Draw(t, "uid"), GID: rapid.Uint32().Draw(t, "gid"),
		Mtime: Time{rapid.Int64().Draw(t, "sec"), rapid.Uint32Range(0, 999_999_999).Draw(t, "nsec")},
	}
	switch e.Type {
	case File:
		e.Size, e.Content = drawContent(t)
		e.Sparse = rapid.Bool().Draw(t, "sparse")
	case Dir:
		e.Tree = drawID(t, "tree")
		e.Sums = Sums{rapid.Uint64().Draw(t, "files"), rapid.Uint64().Draw(t, "dirs"), rapid.Uint64().Draw(t, "bytes")}
	case Symlink:
		e.Target = "/" + drawName(t)
	case CharDevice, BlockDevice:
		e.Major, e.Minor = rapid.Uint32().Draw(t, "major"), rapid.Uint32().Draw(t, "minor")
	}
	if e.Type != Dir && rapid.Bool().Draw(t, "linked") {
		e.Group = rapid.Uint64Min(1).Draw(t, "group")
	}
	for _, name := range drawNames(t, 3) {
		e.Xattrs = append(e.Xattrs, Xattr{name, drawBytes(t, "value", 20)})
	}
	if rapid.IntRange(0, 3).Draw(t, "windows") == 0 {
		e.Windows = drawWindows(t)
	}
	return e
}

func drawWindows(t *rapid.T) *Windows {
	w := &Windows{
		Attributes: rapid.Uint32Min(1).Draw(t, "attributes"), Created: rapid.Uint64().Draw(t, "created"),
		Security: drawBytes(t, "security", 20), Reparse: drawBytes(t, "reparse", 20),
	}
	if rapid.Bool().Draw(t, "short") {
		w.ShortName = "PROGRA~1"
	}
	for _, name := range drawNames(t, 2) {
		s := Stream{Name: name}
		s.Size, s.Content = drawContent(t)
		w.Streams = append(w.Streams, s)
	}
	return w
}

// drawNames draws up to most different names, sorted.
func drawNames(t *rapid.T, most int) []string {
	var names []string
	for range rapid.IntRange(0, most).Draw(t, "names") {
		names = append(names, drawName(t))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func drawEntries(t *rapid.T, most int) []Entry {
	var es []Entry
	for _, name := range drawNames(t, most) {
		es = append(es, drawEntry(t, name))
	}
	return es
}

// everything is one entry of every kind, by hand, for vectors and seeds.
func everything() []Entry {
	big := chunk.Sum([]byte("a big file"))
	refs := func(n int, size uint64) (rs []Ref) {
		for i := range n {
			rs = append(rs, Ref{chunk.Sum(fmt.Append(nil, "chunk", i)), size})
		}
		return rs
	}
	base := func(name string, t Type) Entry {
		return Entry{Name: name, Type: t, Mode: 0o644, UID: 1000, GID: 100, Mtime: Time{1700000000, 123456789}}
	}
	var es []Entry
	add := func(name string, t Type, fill func(*Entry)) {
		e := base(name, t)
		fill(&e)
		es = append(es, e)
	}
	add("block", BlockDevice, func(e *Entry) { e.Major, e.Minor = 259, 1<<20 })
	add("char", CharDevice, func(e *Entry) { e.Major, e.Minor, e.Mode = 1, 3, 0o666 })
	add("dir", Dir, func(e *Entry) { e.Tree, e.Sums, e.Mode = chunk.Sum([]byte("tree")), Sums{3, 2, 1 << 40}, 0o1777 })
	add("fifo", Fifo, func(e *Entry) { e.Mtime = Time{-1, 999_999_999} })
	add("file, empty", File, func(e *Entry) { e.Content.Inline = []byte{} })
	add("file, inline", File, func(e *Entry) { e.Size, e.Content.Inline, e.Sparse = 6, []byte("hello\n"), true })
	add("file, linked", File, func(e *Entry) {
		e.Size, e.Content.ID, e.Group, e.Mode = chunk.WholeMax, big, LinkGroup("usr/bin/perl"), 0o4755
	})
	add("file, listed", File, func(e *Entry) {
		e.Size, e.Content = 2*200<<20, Content{ID: big, Chunks: refs(2, 200<<20), Listed: true}
	})
	add("file, one chunk", File, func(e *Entry) { e.Size, e.Content.ID = InlineMax+1, big })
	add("file, three chunks", File, func(e *Entry) { e.Size, e.Content = 3<<20, Content{ID: big, Chunks: refs(3, 1<<20)} })
	add("file, xattrs", File, func(e *Entry) {
		e.Content.Inline = []byte{}
		e.Xattrs = []Xattr{{"security.capability", []byte("\x01\x00\x00\x02")}, {"user.empty", nil}}
	})
	add("link", Symlink, func(e *Entry) { e.Target, e.Mode = "../"+strings.Repeat("x", 300), 0o777 })
	add("not UTF-8 \xff\xfe", Socket, func(*Entry) {})
	add("windows", File, func(e *Entry) {
		e.Size, e.Content.Inline = 2, []byte("MZ")
		e.Windows = &Windows{
			Attributes: 0x20, Created: 133_000_000_000_000_000, Security: []byte{1, 0, 4, 0x80}, ShortName: "WINDOW~1",
			Streams: []Stream{{"Zone.Identifier", 26, Content{Inline: []byte("[ZoneTransfer]\r\nZoneId=3\r\n")}}},
		}
	})
	return es
}
