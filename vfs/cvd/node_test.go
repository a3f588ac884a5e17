package cvd

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/looming-project/looming/vfs/chunk"
)

// encodeNode is DecodeNode's inverse, for tests: a program has its nodes from a Builder.
func encodeNode(n *Node) []byte {
	var l level
	for i := range n.Entries {
		l.body = AppendEntry(l.body, &n.Entries[i])
	}
	w := writer(l.body)
	for _, c := range n.Children {
		w.string(c.First)
		w.raw(c.ID[:])
		w.sums(c.Sums)
	}
	l.body, l.count = w, len(n.Entries)+len(n.Children)
	return l.encode(n.Level)
}

func leafOf(es ...Entry) []byte { return encodeNode(&Node{Entries: es}) }

// same compares entries as the format sees them: nil and empty are one.
func same(a, b *Entry) bool { return bytes.Equal(AppendEntry(nil, a), AppendEntry(nil, b)) }

func TestEverythingComesBack(t *testing.T) {
	es := everything()
	n, err := DecodeNode(leafOf(es...))
	if err != nil || len(n.Entries) != len(es) {
		t.Fatal(err)
	}
	for i := range es {
		if got := &n.Entries[i]; !reflect.DeepEqual(clean(*got), clean(es[i])) {
			t.Errorf("%q came back as\n%+v, want\n%+v", es[i].Name, got, es[i])
		}
	}
}

// clean makes nil and empty slices equal for reflect.
func clean(e Entry) Entry {
	e.Content.Inline = append([]byte{}, e.Content.Inline...)
	for i := range e.Xattrs {
		e.Xattrs[i].Value = append([]byte{}, e.Xattrs[i].Value...)
	}
	if e.Windows != nil {
		e.Windows.Security = append([]byte{}, e.Windows.Security...)
		e.Windows.Reparse = append([]byte{}, e.Windows.Reparse...)
	}
	return e
}

// Decode then encode is the identity, and so is encode then decode.
func TestNodesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		es := drawEntries(t, 8)
		plain := leafOf(es...)
		n, err := DecodeNode(plain)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encodeNode(n), plain) {
			t.Fatal("encodes to other bytes")
		}
		for i := range es {
			if !reflect.DeepEqual(clean(n.Entries[i]), clean(es[i])) {
				t.Fatalf("%+v came back as %+v", es[i], n.Entries[i])
			}
		}
	})
}

func TestRootsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := drawEntry(t, "x")
		top.Name, top.Type, top.Group, top.Sparse = "", Dir, 0, false
		plain, err := EncodeRoot(&top)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeRoot(plain)
		if err != nil || !same(again, &top) {
			t.Fatalf("%+v came back as %+v: %v", top, again, err)
		}
		if _, err := DecodeNode(plain); !errors.Is(err, ErrFormat) {
			t.Fatalf("a root passes for a directory: %v", err)
		}
	})
}

func TestContentsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size, c := drawContent(t)
		n, again, err := DecodeContent(EncodeContent(size, &c))
		if err != nil || n != size || !bytes.Equal(EncodeContent(n, &again), EncodeContent(size, &c)) {
			t.Fatal(n, err)
		}
	})
}

// A bit flipped anywhere gives an error or another tree, never the same one.
func TestNoTwoEncodingsOfOneNode(t *testing.T) {
	plain := leafOf(everything()...)
	for i := range plain {
		for bit := range 8 {
			b := bytes.Clone(plain)
			b[i] ^= 1 << bit
			n, err := DecodeNode(b)
			if err == nil && !bytes.Equal(encodeNode(n), b) {
				t.Fatalf("byte %d bit %d: accepted, but encodes to other bytes", i, bit)
			}
			if err != nil && !errors.Is(err, ErrFormat) {
				t.Fatalf("byte %d bit %d: %v is not ErrFormat", i, bit, err)
			}
		}
	}
	for n := range plain {
		if _, err := DecodeNode(plain[:n]); !errors.Is(err, ErrFormat) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if _, err := DecodeNode(append(plain, 0)); !errors.Is(err, ErrFormat) {
		t.Fatalf("a byte behind: %v", err)
	}
}

func TestUnfitEntriesAreRefused(t *testing.T) {
	id := chunk.Sum(nil)
	for what, spoil := range map[string]func(*Entry){
		"no name":           func(e *Entry) { e.Name = "" },
		"dot":               func(e *Entry) { e.Name = "." },
		"dot dot":           func(e *Entry) { e.Name = ".." },
		"slash":             func(e *Entry) { e.Name = "a/b" },
		"NUL":               func(e *Entry) { e.Name = "a\x00" },
		"long name":         func(e *Entry) { e.Name = strings.Repeat("n", NameMax+1) },
		"type 0":            func(e *Entry) { e.Type = 0 },
		"type 8":            func(e *Entry) { e.Type = 8 },
		"mode":              func(e *Entry) { e.Mode = 0o10000 },
		"nanoseconds":       func(e *Entry) { e.Mtime.Nsec = 1e9 },
		"sparse fifo":       func(e *Entry) { e.Type, e.Sparse = Fifo, true },
		"linked directory":  func(e *Entry) { e.Type, e.Group = Dir, 1 },
		"no target":         func(e *Entry) { e.Type = Symlink },
		"NUL in the target": func(e *Entry) { e.Type, e.Target = Symlink, "a\x00" },
		"inline, too few":   func(e *Entry) { e.Size = 1 },
		"inline, too many":  func(e *Entry) { e.Content.Inline = []byte{1} },
		"inline and large":  func(e *Entry) { e.Size, e.Content.Inline = InlineMax+1, make([]byte, InlineMax+1) },
		"small with chunks": func(e *Entry) { e.Size, e.Content = 1, Content{ID: id, Chunks: []Ref{{id, 1}}} },
		"whole with chunks": func(e *Entry) {
			e.Size, e.Content = chunk.WholeMax, Content{ID: id, Chunks: []Ref{{id, chunk.WholeMax}}}
		},
		"large without chunks": func(e *Entry) { e.Size, e.Content = chunk.WholeMax+1, Content{ID: id} },
		"chunks too short":     func(e *Entry) { e.Size, e.Content = 1<<20, Content{ID: id, Chunks: []Ref{{id, 1<<20 - 1}}} },
		"chunks too long":      func(e *Entry) { e.Size, e.Content = 1<<20-1, Content{ID: id, Chunks: []Ref{{id, 1 << 20}}} },
		"chunk of nothing":     func(e *Entry) { e.Size, e.Content = 1<<20, Content{ID: id, Chunks: []Ref{{id, 1 << 20}, {id, 0}}} },
		"chunk above MaxSize":  func(e *Entry) { e.Size, e.Content = 1<<20+1, Content{ID: id, Chunks: []Ref{{id, 1<<20 + 1}}} },
		"one chunk of another id": func(e *Entry) {
			e.Size, e.Content = 1<<20, Content{ID: id, Chunks: []Ref{{chunk.Sum([]byte{1}), 1 << 20}}}
		},
		"too many chunks in entry": func(e *Entry) { e.Size, e.Content = 17<<20, Content{ID: id, Chunks: make17(id)} },
		"more than a file may be":  func(e *Entry) { e.Size, e.Content = 1<<63, Content{ID: id} },
		"attributes out of order":  func(e *Entry) { e.Xattrs = []Xattr{{"b", nil}, {"a", nil}} },
		"attribute twice":          func(e *Entry) { e.Xattrs = []Xattr{{"a", nil}, {"a", nil}} },
		"attribute without a name": func(e *Entry) { e.Xattrs = []Xattr{{"", nil}} },
		"NUL in an attribute":      func(e *Entry) { e.Xattrs = []Xattr{{"a\x00", nil}} },
		"empty Windows part":       func(e *Entry) { e.Windows = &Windows{} },
		"streams out of order":     func(e *Entry) { e.Windows = &Windows{Streams: []Stream{{Name: "b"}, {Name: "a"}}} },
		"stream without a name":    func(e *Entry) { e.Windows = &Windows{Streams: []Stream{{}}} },
		"stream that does not add": func(e *Entry) { e.Windows = &Windows{Streams: []Stream{{Name: "a", Size: 1}}} },
	} {
		e := Entry{Name: "name", Type: File}
		spoil(&e)
		if err := e.Check(); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: Check: %v", what, err)
		}
		put := func(plain []byte) (chunk.ID, error) { t.Errorf("%s: made a node", what); return chunk.Sum(plain), nil }
		if err := NewBuilder(put).Add(&e); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: Add: %v", what, err)
		}
		// Where the encoding can say it, it is refused when it is read, too.
		n, err := DecodeNode(leafOf(e))
		if err == nil && n.Entries[0].Check() != nil || err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: DecodeNode: %v", what, err)
		}
	}
}

func make17(id chunk.ID) (refs []Ref) {
	for range InEntryMax + 1 {
		refs = append(refs, Ref{id, 1 << 20})
	}
	return refs
}

// raw builds a leaf of one fifo byte by byte, so that single fields can be wrong.
func rawLeaf(fields ...string) []byte { return []byte("LMT\x01\x00" + strings.Join(fields, "")) }

func TestOtherEncodingsOfTheSameAreRefused(t *testing.T) {
	good := []string{"\x01", "\x01a", "\x06", "\x00", "\x00", "\x00", "\x00", "\x00"}
	if _, err := DecodeNode(rawLeaf(good...)); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]struct {
		field int
		bytes string
	}{
		"long count":        {0, "\x81\x00"},
		"long name length":  {1, "\x81\x00a"},
		"long mode":         {3, "\x80\x00"},
		"long uid":          {4, "\x80\x80\x00"},
		"uid of 33 bits":    {4, "\x80\x80\x80\x80\x10"},
		"long second":       {6, "\x80\x00"},
		"number of 65 bits": {6, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"},
		"no xattrs, said":   {2, "\x16"},
		"group 0, said":     {2, "\x26"},
		"bad UTF in kind":   {2, "\x0f"},
	} {
		fields := append([]string{}, good...)
		fields[change.field] = change.bytes
		tail := ""
		if strings.HasSuffix(what, "said") {
			tail = "\x00"
		}
		if _, err := DecodeNode(rawLeaf(append(fields, tail)...)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
	a, b := Entry{Name: "a", Type: Fifo}, Entry{Name: "b", Type: Fifo}
	for what, plain := range map[string][]byte{
		"out of order":                    leafOf(b, a),
		"twice":                           leafOf(a, a),
		"magic":                           []byte("LMT\x02\x00\x00"),
		"kind":                            []byte("LMT\x01\x03\x00"),
		"index of nothing":                encodeNode(&Node{Level: 1}),
		"index too high":                  encodeNode(&Node{Level: levelMax + 1, Children: []Child{{First: "a"}}}),
		"index out of order":              encodeNode(&Node{Level: 1, Children: []Child{{First: "b"}, {First: "a"}}}),
		"index with a name that none has": encodeNode(&Node{Level: 1, Children: []Child{{First: "a/b"}}}),
		"larger than a chunk":             append([]byte("LMT\x01\x00"), make([]byte, chunk.MaxSize)...),
	} {
		if _, err := DecodeNode(plain); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Invariant 10: memory is bounded by what comes in, not by what it says of itself.
func TestHostileNodesTakeLittleMemory(t *testing.T) {
	huge := "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
	million := "\x80\x80\x40"
	for what, plain := range map[string][]byte{
		"entries":       rawLeaf(huge),
		"a million":     append(rawLeaf(million), make([]byte, 900_000)...),
		"name":          rawLeaf("\x01", huge),
		"xattrs":        rawLeaf("\x01", "\x01a", "\x16\x00\x00\x00\x00\x00", huge),
		"xattr value":   rawLeaf("\x01", "\x01a", "\x16\x00\x00\x00\x00\x00", "\x01\x01a", huge),
		"inline":        rawLeaf("\x01", "\x01a", "\x01\x00\x00\x00\x00\x00", huge, "\x00"),
		"chunks":        rawLeaf("\x01", "\x01a", "\x01\x00\x00\x00\x00\x00", "\x80\x80\x80\x01", "\x02", strings.Repeat("x", 32), huge),
		"streams":       rawLeaf("\x01", "\x01a", "\x86\x00\x00\x00\x00\x00", "\x01\x01\x00\x00\x00", huge),
		"index":         []byte("LMT\x01\x01\x01" + huge),
		"many fifos":    hostileFifos(),
		"index million": append([]byte("LMT\x01\x01\x01\x80\x80\x01"), make([]byte, 1_000_000)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := DecodeNode(plain)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
		if used, most := after.TotalAlloc-before.TotalAlloc, uint64(64*len(plain)+64<<10); used > most {
			t.Errorf("%s: %d bytes took %d of memory", what, len(plain), used)
		}
	}
}

// hostileFifos is a leaf of as many entries as fit, far beyond where it must be cut.
func hostileFifos() []byte {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	n := &Node{}
	for i := range len(letters) * len(letters) * len(letters) {
		name := []byte{letters[i/26/26], letters[i/26%26], letters[i%26]}
		n.Entries = append(n.Entries, Entry{Name: string(name), Type: Fifo})
	}
	return encodeNode(n)
}

func TestRootsThatAreNoneAreRefused(t *testing.T) {
	for what, top := range map[string]Entry{
		"named": {Name: "x", Type: Dir}, "file": {Type: File}, "mode": {Type: Dir, Mode: 0o10000},
		"huge": {Type: Dir, Xattrs: []Xattr{{"user.x", make([]byte, EntryMax)}}},
	} {
		if _, err := EncodeRoot(&top); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: EncodeRoot: %v", what, err)
		}
		plain := AppendEntry([]byte(nodeMagic+"\x02"), &top)
		if e, err := DecodeRoot(plain); !errors.Is(err, ErrFormat) || e != nil {
			t.Errorf("%s: DecodeRoot: %v", what, err)
		}
	}
	if _, err := DecodeRoot(leafOf()); !errors.Is(err, ErrFormat) {
		t.Errorf("a directory passes for a root: %v", err)
	}
}

func TestListsComeBackAndNothingElse(t *testing.T) {
	var refs []Ref
	for i := range ListMax {
		refs = append(refs, Ref{chunk.Sum([]byte{byte(i), byte(i >> 8)}), uint64(i + 1)})
	}
	for _, n := range []int{1, 17, ListMax} {
		got, err := DecodeList(EncodeList(refs[:n]))
		if err != nil || !reflect.DeepEqual(got, refs[:n]) {
			t.Errorf("%d refs: %v", n, err)
		}
	}
	for what, plain := range map[string][]byte{
		"empty": EncodeList(nil), "nothing": nil, "behind": append(EncodeList(refs), 0), "magic": leafOf(),
		"too many": EncodeList(append(refs, refs[0])), "no size": EncodeList([]Ref{{}}),
		"large": EncodeList([]Ref{{Size: chunk.MaxSize + 1}}),
	} {
		if got, err := DecodeList(plain); !errors.Is(err, ErrFormat) || got != nil {
			t.Errorf("%s: %d refs, %v", what, len(got), err)
		}
	}
}
