package cvd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/chunk/chunktest"
)

func TestReadDirSaysWhatIsMissing(t *testing.T) {
	src := chunk.Map{}
	id, _ := build(t, src, upTo(3))
	top, err := DecodeNode(src[id])
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	count := func(*Entry) error { seen++; return nil }
	delete(src, top.Children[2].ID)
	if err := ReadDir(t.Context(), src, id, count); !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("a part is missing: %v after %d entries", err, seen)
	}
	delete(src, id)
	if err := ReadDir(t.Context(), src, id, count); !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("the node is missing: %v", err)
	}
	junk, _ := src.Put([]byte("junk"))
	if err := ReadDir(t.Context(), src, junk, count); !errors.Is(err, ErrFormat) {
		t.Errorf("the node is junk: %v", err)
	}
	if _, err := ReadRoot(t.Context(), src, Root(junk)); !errors.Is(err, ErrFormat) {
		t.Errorf("the root is junk: %v", err)
	}
	if _, err := ReadRoot(t.Context(), src, Root(id)); !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("the root is missing: %v", err)
	}
}

// A node that came with others, say in one request, is read on from where it is.
func TestEachReadsOn(t *testing.T) {
	for _, es := range [][]Entry{nil, many(3), upTo(3)} {
		src := chunk.Map{}
		id, _ := build(t, src, es)
		n, err := DecodeNode(src[id])
		if err != nil {
			t.Fatal(err)
		}
		delete(src, id)
		var got []Entry
		if err := n.Each(t.Context(), src, func(e *Entry) error { got = append(got, *e); return nil }); err != nil {
			t.Fatal(err)
		}
		checkSame(t, got, es)
	}
}

func TestReadDirStopsWithTheCallback(t *testing.T) {
	src := chunk.Map{}
	es := upTo(3)
	id, _ := build(t, src, es)
	enough := errors.New("enough")
	for _, after := range []int{1, len(es) - 1} {
		n := 0
		err := ReadDir(t.Context(), src, id, func(*Entry) error {
			if n++; n == after {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) || n != after {
			t.Errorf("after %d of %d: %v", n, after, err)
		}
	}
}

// The entry is the callback's to keep: its bytes do not change behind it.
func TestReadDirGivesEntriesToKeep(t *testing.T) {
	es := everything()
	src := chunk.Map{}
	id, _ := build(t, src, es)
	checkSame(t, read(t, lending{src}, id), es)
}

// lending overwrites the bytes it lent after each callback, as a buffer used again does.
type lending struct{ chunk.Map }

func (l lending) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	return l.Map.Fetch(ctx, ids, func(i int, plain []byte, err error) error {
		lent := append([]byte{}, plain...)
		err = got(i, lent, err)
		clear(lent)
		return err
	})
}

func TestLendingIsASource(t *testing.T) {
	chunktest.Run(t, chunktest.Options{New: func(t *testing.T, plains [][]byte) chunk.Source {
		m := chunk.Map{}
		for _, p := range plains {
			_, _ = m.Put(p) // never fails
		}
		return lending{m}
	}})
}

func someRefs(n int) (refs []Ref, size uint64) {
	for i := range n {
		refs = append(refs, Ref{chunk.Sum(fmt.Append(nil, i)), chunk.WholeMax + 1 + uint64(i)})
		size += refs[i].Size
	}
	return refs, size
}

// The chunks of a file come back whatever form their number gives it.
func TestChunksComeBack(t *testing.T) {
	for n, lists := range map[int]int{1: 0, 2: 0, InEntryMax: 0, InEntryMax + 1: 1, ListMax: 1, ListMax + 1: 2, 3*ListMax + 5: 4} {
		src := chunk.Map{}
		refs, size := someRefs(n)
		id := chunk.Sum([]byte("file"))
		if n == 1 {
			id = refs[0].ID
		}
		c, err := ListContent(id, refs, src.Put)
		if err != nil || c.Listed != (lists > 0) || len(src) != lists {
			t.Fatalf("%d chunks: %d lists, %v", n, len(src), err)
		}
		e := Entry{Name: "f", Type: File, Size: size, Content: c}
		if err := e.Check(); err != nil {
			t.Errorf("%d chunks: %v", n, err)
		}
		got, err := ChunksOf(t.Context(), src, size, &c)
		if err != nil || !reflect.DeepEqual(got, refs) {
			t.Errorf("%d chunks came back as %d: %v", n, len(got), err)
		}
	}
}

func TestChunksOfSmallFiles(t *testing.T) {
	c := Content{Inline: []byte("abc")}
	if refs, err := ChunksOf(t.Context(), chunk.Map{}, 3, &c); err != nil || len(refs) != 0 {
		t.Errorf("an inline file: %v, %v", refs, err)
	}
	c = Content{ID: chunk.Sum(nil)}
	if refs, err := ChunksOf(t.Context(), chunk.Map{}, InlineMax+1, &c); err != nil || len(refs) != 1 || refs[0] != (Ref{c.ID, InlineMax + 1}) {
		t.Errorf("a file of one chunk: %v, %v", refs, err)
	}
}

// One file has one list of chunks: others that add up to it are refused.
func TestOtherListsAreRefused(t *testing.T) {
	refs, size := someRefs(ListMax + 30)
	for what, parts := range map[string][][]Ref{
		"the first not full": {refs[:ListMax-1], refs[ListMax-1:]},
		"three":              {refs[:ListMax], refs[ListMax : ListMax+1], refs[ListMax+1:]},
		"short of one":       {refs[:ListMax], refs[ListMax+1:]},
	} {
		src := chunk.Map{}
		c := Content{ID: chunk.Sum(nil), Listed: true}
		left := size
		for i, p := range parts {
			id, _ := src.Put(EncodeList(p))
			n := total(p)
			if i == len(parts)-1 {
				n = left
			}
			left -= n
			c.Chunks = append(c.Chunks, Ref{id, n})
		}
		if _, err := ChunksOf(t.Context(), src, size, &c); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
	src := chunk.Map{}
	few, size := someRefs(InEntryMax)
	id, _ := src.Put(EncodeList(few))
	c := Content{ID: chunk.Sum(nil), Listed: true, Chunks: []Ref{{id, size}}}
	if _, err := ChunksOf(t.Context(), src, size, &c); !errors.Is(err, ErrFormat) {
		t.Errorf("chunks that fit the entry: %v", err)
	}
	delete(src, id)
	if _, err := ChunksOf(t.Context(), src, size, &c); !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("a list that is missing: %v", err)
	}
}

// Invariant 7 rests on this: what a walk does not visit is garbage.
func TestRefsVisitsAllThatANodeNames(t *testing.T) {
	n, err := DecodeNode(leafOf(everything()...))
	if err != nil {
		t.Fatal(err)
	}
	extra := Entry{Name: "zz", Type: File, Content: Content{Inline: []byte{}}}
	extra.Windows = &Windows{Streams: []Stream{{Name: "s", Size: InlineMax + 1, Content: Content{ID: chunk.Sum([]byte("stream"))}}}}
	n.Entries = append(n.Entries, extra)
	var nodes, lists, data []Ref
	n.Refs(func(id chunk.ID) { nodes = append(nodes, Ref{ID: id}) },
		func(r Ref) { lists = append(lists, r) }, func(r Ref) { data = append(data, r) })
	big, ref := chunk.Sum([]byte("a big file")), func(i int) chunk.ID { return chunk.Sum(fmt.Append(nil, "chunk", i)) }
	check := func(what string, got, want []Ref) {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("nodes", nodes, []Ref{{ID: chunk.Sum([]byte("tree"))}})
	check("lists", lists, []Ref{{ref(0), 200 << 20}, {ref(1), 200 << 20}})
	check("data", data, []Ref{
		{big, chunk.WholeMax},
		{big, InlineMax + 1},
		{ref(0), 1 << 20},
		{ref(1), 1 << 20},
		{ref(2), 1 << 20},
		{chunk.Sum([]byte("stream")), InlineMax + 1},
	})
	index := &Node{Level: 1, Children: []Child{{First: "a", ID: ref(1)}, {First: "b", ID: ref(2)}}}
	nodes = nil
	index.Refs(func(id chunk.ID) { nodes = append(nodes, Ref{ID: id}) }, nil, nil)
	check("children", nodes, []Ref{{ID: ref(1)}, {ID: ref(2)}})
}

func TestFileIDIsTheFilesHash(t *testing.T) {
	inline := Entry{Type: File, Size: 3, Content: Content{Inline: []byte("abc")}}
	if inline.FileID() != chunk.Sum([]byte("abc")) {
		t.Error("inline")
	}
	whole := Entry{Type: File, Size: InlineMax + 1, Content: Content{ID: chunk.Sum(nil)}}
	if whole.FileID() != chunk.Sum(nil) {
		t.Error("whole")
	}
}

// The group of a hard-linked file is part of the format.
func TestLinkGroupIsFrozen(t *testing.T) {
	if g := LinkGroup("abc"); g != 0x6437b3ac38465133 {
		t.Errorf("group %x, want the first eight bytes of b3sum of abc", g)
	}
}

func TestTimesComeBack(t *testing.T) {
	for _, want := range []time.Time{time.Unix(0, 0), time.Unix(-1, 1), time.Unix(1<<40, 999_999_999), time.Date(1601, 1, 1, 0, 0, 0, 100, time.UTC)} {
		if got := TimeOf(want).Std(); !got.Equal(want) {
			t.Errorf("%v came back as %v", want, got)
		}
	}
}

func TestSnapshotsComeBack(t *testing.T) {
	want := Snapshot{
		ID: NewSnapshotID(), CVD: "desk", Root: Root(chunk.Sum(nil)), Device: "dev", Taken: time.Unix(1700000000, 0).UTC(),
		Files: 1, Dirs: 2, Bytes: 3, Layers: []Root{Root(chunk.Sum([]byte("l")))},
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Snapshot
	if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s came back as %+v: %v", b, got, err)
	}
	var m map[string]any
	if _ = json.Unmarshal(b, &m); m["id"] != want.ID.String() || m["root"] != want.Root.String() || m["parent"] != nil {
		t.Errorf("%s", b)
	}
	for _, s := range []string{"", "00", want.ID.String() + "0", "x" + want.ID.String()[1:], want.ID.String() + "00"} {
		if id, err := ParseSnapshotID(s); err == nil || !id.IsZero() {
			t.Errorf("ParseSnapshotID(%q) = %s, %v", s, id, err)
		}
	}
}
