package cvd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/looming-project/looming/vfs/chunk"
)

// build makes a directory and returns its node, with all nodes in src.
func build(t interface{ Fatal(...any) }, src chunk.Map, es []Entry) (chunk.ID, Sums) {
	b := NewBuilder(src.Put)
	for i := range es {
		if err := b.Add(&es[i]); err != nil {
			t.Fatal(err)
		}
	}
	id, sums, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return id, sums
}

// read is ReadDir into a slice.
func read(t interface{ Fatal(...any) }, src chunk.Source, id chunk.ID) (es []Entry) {
	err := ReadDir(context.Background(), src, id, func(e *Entry) error { es = append(es, *e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return es
}

func checkSame(t interface{ Fatalf(string, ...any) }, got, want []Entry) {
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range got {
		if !same(&got[i], &want[i]) {
			t.Fatalf("entry %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

// fat is an entry whose encoding takes about n bytes.
func fat(name string, n int) Entry {
	e := Entry{Name: name, Type: Fifo}
	if n > 100 {
		e.Xattrs = []Xattr{{"user.fat", make([]byte, n)}}
	}
	return e
}

// many are n entries as in a large directory.
func many(n int) []Entry {
	es := make([]Entry, n)
	for i := range es {
		id := chunk.Sum(fmt.Append(nil, i))
		es[i] = Entry{
			Name: fmt.Sprintf("file-%07d", i*7), Type: File, Mode: 0o644, Mtime: Time{1700000000 + int64(i), 1},
			Size: InlineMax + 1 + uint64(i), Content: Content{ID: id},
		}
	}
	return es
}

func sumsOf(es []Entry) (s Sums) {
	for i := range es {
		switch es[i].Type {
		case Dir:
			s.Dirs += 1 + es[i].Sums.Dirs
			s.Files += es[i].Sums.Files
			s.Bytes += es[i].Sums.Bytes
		case File:
			s.Files++
			s.Bytes += es[i].Size
		default:
			s.Files++
		}
	}
	return s
}

// Whatever goes in comes out, in order, with its sums; and the same entries make the
// same nodes again.
func TestDirectoriesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		es := drawEntries(t, 6)
		for i := range rapid.IntRange(0, 400).Draw(t, "more") {
			size := rapid.SampledFrom([]int{10, 200, 2000, 60_000}).Draw(t, "size")
			es = append(es, fat(fmt.Sprintf("zz%06d", i)+strings.Repeat("n", size%900), size))
		}
		slices.SortFunc(es, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
		es = slices.CompactFunc(es, func(a, b Entry) bool { return a.Name == b.Name })
		src, again := chunk.Map{}, chunk.Map{}
		id, sums := build(t, src, es)
		if sums != sumsOf(es) {
			t.Fatalf("sums are %+v, want %+v", sums, sumsOf(es))
		}
		got := read(t, src, id)
		checkSame(t, got, es)
		if id2, _ := build(t, again, got); id2 != id || len(again) != len(src) {
			t.Fatalf("%s and %d nodes, then %s and %d", id, len(src), id2, len(again))
		}
		checkNodes(t, src)
	})
}

// checkNodes checks that every node is canonical and small enough.
func checkNodes(t interface{ Fatalf(string, ...any) }, src chunk.Map) {
	for id, plain := range src {
		n, err := DecodeNode(plain)
		if err != nil || chunk.Sum(encodeNode(n)) != id {
			t.Fatalf("node %s: %v", id, err)
		}
		if len(plain) > leafMax+EntryMax+16 {
			t.Fatalf("node %s has %d bytes", id, len(plain))
		}
	}
}

func TestAnEmptyDirectoryIsANode(t *testing.T) {
	src := chunk.Map{}
	id, sums := build(t, src, nil)
	if es := read(t, src, id); len(es) != 0 || sums != (Sums{}) || len(src) != 1 {
		t.Errorf("%d entries, %+v, %d nodes", len(es), sums, len(src))
	}
}

// A size that a symlink brings along, say from stat, is not in what its node says.
func TestSumsCountFilesAlone(t *testing.T) {
	src := chunk.Map{}
	es := []Entry{{Name: "l", Type: Symlink, Target: "x", Size: 99}, {Name: "p", Type: Fifo, Size: 7}}
	_, sums := build(t, src, es)
	if sums != (Sums{Files: 2}) {
		t.Errorf("sums are %+v", sums)
	}
}

func TestEntriesComeInOrder(t *testing.T) {
	for _, names := range [][]string{{"b", "a"}, {"a", "a"}, {"\xff", "z"}, {"a/b"}} {
		b := NewBuilder(chunk.Map{}.Put)
		var err error
		for _, name := range names {
			e := fat(name, 0)
			err = b.Add(&e)
		}
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", names, err)
		}
	}
}

func TestAnEntryMayNotBeHuge(t *testing.T) {
	e := fat("x", EntryMax)
	if err := NewBuilder(chunk.Map{}.Put).Add(&e); !errors.Is(err, ErrFormat) {
		t.Errorf("Add: %v", err)
	}
	b := NewBuilder(chunk.Map{}.Put)
	for _, c := range []struct {
		entry Entry
		ok    bool
	}{{fat("a", 0), true}, {fat("huge", EntryMax), false}, {fat("z", 0), true}, {fat("zz/", 0), false}, {fat("a", 0), false}} {
		if err := b.Add(&c.entry); (err == nil) != c.ok {
			t.Errorf("Add %s: %v", c.entry.Name, err)
		}
	}
	if id, sums, err := b.Finish(); id != chunk.Sum(leafOf(fat("a", 0), fat("z", 0))) || sums.Files != 2 || err != nil {
		t.Errorf("what was refused is in the node: %+v, %v", sums, err)
	}
	e = fat("x", EntryMax-100)
	src := chunk.Map{}
	id, _ := build(t, src, []Entry{e, fat("y", EntryMax-100), fat("z", 0)})
	if got := read(t, src, id); len(got) != 3 || len(got[1].Xattrs[0].Value) != EntryMax-100 {
		t.Error("the largest entries did not come back")
	}
}

// What is put in, changed or taken out rewrites the parts around it and the index.
func TestSplitsStayLocal(t *testing.T) {
	es := many(100_000)
	src := chunk.Map{}
	id, sums := build(t, src, es)
	if sums.Files != 100_000 || len(src) < 50 {
		t.Fatalf("%+v in %d nodes", sums, len(src))
	}
	checkNodes(t, src)
	worst := 0
	for _, at := range []int{0, 777, 50_000, 99_999} {
		e := es[at]
		e.Name += "+"
		for what, edited := range map[string][]Entry{
			"put in":    slices.Insert(slices.Clone(es), at+1, e),
			"taken out": slices.Delete(slices.Clone(es), at, at+1),
			"touched":   touched(es, at),
		} {
			after := chunk.Map{}
			id2, _ := build(t, after, edited)
			added := 0
			for id := range after {
				if _, ok := src[id]; !ok {
					added++
				}
			}
			if worst = max(worst, added); id2 == id || added > 8 {
				t.Errorf("%d %s: %d of %d nodes are new", at, what, added, len(after))
			}
		}
	}
	if worst < 2 {
		t.Error("an edit changed no part and index: the test looks at nothing")
	}
}

func touched(es []Entry, at int) []Entry {
	es = slices.Clone(es)
	es[at].Mtime.Nsec++
	return es
}

// Parts of more than one entry, several levels of indexes, and names of the longest kind.
func TestSeveralLevels(t *testing.T) {
	var es []Entry
	for i := range 30_000 {
		es = append(es, fat(fmt.Sprintf("%05d", i)+strings.Repeat("n", NameMax-5), 0))
	}
	src := chunk.Map{}
	id, sums := build(t, src, es)
	if sums != sumsOf(es) {
		t.Errorf("sums are %+v, want %+v", sums, sumsOf(es))
	}
	top, err := DecodeNode(src[id])
	if err != nil || top.Level < 2 {
		t.Fatalf("level %d: %v", top.Level, err)
	}
	checkSame(t, read(t, src, id), es)
	checkNodes(t, src)
}

// upTo gives the shortest run of entries after which a cut is due cuts times.
func upTo(cuts int) (es []Entry) {
	for body := 0; cuts > 0; {
		e := fat(fmt.Sprintf("%09d", len(es)), 500)
		es = append(es, e)
		if body += len(AppendEntry(nil, &e)); cutAfter(body, 0, e.Name) {
			cuts, body = cuts-1, 0
		}
	}
	return es
}

// A directory that ends where a cut is due has no empty part behind it.
func TestACutExactlyAtTheEnd(t *testing.T) {
	for cuts, want := range map[int]int{1: 1, 2: 3, 5: 6} {
		es := upTo(cuts)
		for extra, nodes := range map[int]int{0: want, 1: cuts + 2, -1: max(1, want-0)} {
			es := es
			if extra == 1 {
				es = append(slices.Clone(es), fat("a last one", 0))
			}
			if extra == -1 {
				es = es[:len(es)-1]
			}
			src := chunk.Map{}
			id, _ := build(t, src, es)
			if len(src) != nodes {
				t.Errorf("%d cuts %+d entries: %d nodes, want %d", cuts, extra, len(src), nodes)
			}
			checkSame(t, read(t, src, id), es)
		}
	}
}

// One part alone is the directory itself: there is no index of one.
func TestOnePartIsTheDirectory(t *testing.T) {
	for _, es := range [][]Entry{upTo(1), {fat("one", leafMax)}, many(10)} {
		src := chunk.Map{}
		id, sums := build(t, src, es)
		n, err := DecodeNode(src[id])
		if err != nil || n.Level != 0 || len(n.Entries) != len(es) || sums != sumsOf(es) {
			t.Errorf("%d entries: level %d, %d of them, %v", len(es), n.Level, len(n.Entries), err)
		}
	}
}

// A directory whose every entry is a part, so that indexes end exactly at cuts too.
func TestEveryEntryAPart(t *testing.T) {
	var es []Entry
	for i := range 300 {
		es = append(es, fat(fmt.Sprintf("%03d", i)+strings.Repeat("n", 1000), leafMax))
	}
	for n := 1; n <= len(es); n += 71 {
		src := chunk.Map{}
		id, sums := build(t, src, es[:n])
		if sums.Files != uint64(n) {
			t.Fatalf("%d entries: %+v", n, sums)
		}
		checkSame(t, read(t, src, id), es[:n])
	}
}

func TestBuilderReturnsWhatPutSays(t *testing.T) {
	full := errors.New("full")
	for _, after := range []int{0, 1, 2} {
		b := NewBuilder(func(plain []byte) (chunk.ID, error) {
			if after--; after < 0 {
				return chunk.ID{}, full
			}
			return chunk.Sum(plain), nil
		})
		es, err := upTo(3), error(nil)
		for i := 0; i < len(es) && err == nil; i++ {
			err = b.Add(&es[i])
		}
		if err == nil {
			_, _, err = b.Finish()
		}
		if !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
	}
}

// Parts that were cut elsewhere hold the same entries, and are refused: one
// directory has one encoding.
func TestOtherSplitsAreRefused(t *testing.T) {
	es := upTo(2)
	src := chunk.Map{}
	good, _ := build(t, src, es)
	top, err := DecodeNode(src[good])
	if err != nil || len(top.Children) != 2 {
		t.Fatal(len(top.Children), err)
	}
	part := func(es []Entry) Child {
		id, _ := src.Put(leafOf(es...))
		return Child{es[0].Name, id, sumsOf(es)}
	}
	n := len(es)
	all := []Child{part(es[:n/2]), part(es[n/2:])}
	one := Child{es[0].Name, good, sumsOf(es)}
	wrong := top.Children[1]
	wrong.Sums.Bytes++
	renamed := top.Children[1]
	renamed.First += "x"
	single, _ := src.Put(leafOf(es[0]))
	for what, node := range map[string]*Node{
		"cut elsewhere":        {Level: 1, Children: all},
		"cut once more":        {Level: 1, Children: []Child{part(es[:1]), part(es[1:3]), part(es[3:])}},
		"an index of one":      {Level: 1, Children: []Child{{es[0].Name, single, sumsOf(es[:1])}}},
		"an index of an index": {Level: 2, Children: []Child{one}},
		"a level left out":     {Level: 3, Children: top.Children},
		"wrong sums":           {Level: 1, Children: []Child{top.Children[0], wrong}},
		"wrong first name":     {Level: 1, Children: []Child{top.Children[0], renamed}},
		"a part twice":         {Level: 1, Children: []Child{top.Children[0], {"zzz", top.Children[0].ID, top.Children[0].Sums}}},
	} {
		id, _ := src.Put(encodeNode(node))
		err := ReadDir(t.Context(), src, id, func(*Entry) error { return nil })
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
