package prefetch

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// someTally draws a tally of uses over a year, and of a few starts.
var someTally = rapid.Custom(func(t *rapid.T) *Tally {
	tally := &Tally{}
	for range rapid.IntRange(0, 40).Draw(t, "uses") {
		at := noon.Add(-time.Duration(rapid.IntRange(0, 400).Draw(t, "days")) * day)
		path, phase := somePath.Draw(t, "path"), Phase(rapid.IntRange(0, 2).Draw(t, "phase"))
		user := rapid.SampledFrom([]uint32{0, 1000, math.MaxUint32}).Draw(t, "user")
		if rapid.Bool().Draw(t, "read") {
			tally.Read(path, phase, user, at, rapid.Uint64Range(1, 1<<52).Draw(t, "n"))
		} else {
			tally.Opened(path, phase, user, at)
		}
	}
	for range rapid.IntRange(0, 12).Draw(t, "starts") {
		tally.AddTrace(someTrace.Draw(t, "trace"))
	}
	return tally
})

var someTrace = rapid.Custom(func(t *rapid.T) Trace {
	tr := Trace{Started: noon.Add(-time.Duration(rapid.IntRange(0, 9).Draw(t, "day")) * day), Machine: rapid.Uint64Range(0, 3).Draw(t, "machine")}
	for _, w := range rapid.SliceOfN(someWant, 0, 20).Draw(t, "uses") {
		after := time.Duration(rapid.IntRange(0, 90_000_000).Draw(t, "us")) * time.Microsecond
		tr.Uses = append(tr.Uses, Use{w, after, Phase(rapid.IntRange(0, 3).Draw(t, "phase"))})
	}
	return tr
})

// someWant draws one that is unfit now and then.
var someWant = rapid.Custom(func(t *rapid.T) Want {
	w := Want{Path: somePath.Draw(t, "path")}
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		w.Dir = true
	case 1, 2:
		from := rapid.Uint64Range(0, 20).Draw(t, "from") * Grain
		w.Span = Span{from, from + rapid.Uint64Range(0, 9).Draw(t, "n")*Grain}
	}
	return w
})

func wantOf(path string) Want { return Want{Path: path} }

func wantsOf(paths ...string) (wants []Want) {
	for _, p := range paths {
		wants = append(wants, wantOf(p))
	}
	return wants
}

func merged(all ...*Tally) *Tally {
	sum := &Tally{}
	for _, t := range all {
		sum.Merge(t)
	}
	return sum
}

// However runs and machines are merged, the same is known.
func TestMergeOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := someTally.Draw(t, "a"), someTally.Draw(t, "b"), someTally.Draw(t, "c")
		before := a.Encode()
		want := merged(a, b, c).Encode()
		for what, got := range map[string]*Tally{
			"the other way": merged(c, b, a), "left first": merged(merged(a, b), c), "right first": merged(a, merged(b, c)),
		} {
			if !bytes.Equal(got.Encode(), want) {
				t.Fatalf("%s: another tally", what)
			}
		}
		if !bytes.Equal(merged(a, &Tally{}).Encode(), before) || !bytes.Equal(a.Encode(), before) {
			t.Fatalf("merging nothing, or into something else, changed the tally")
		}
	})
}

// Encode then decode is the identity, and so is decode then encode.
func TestCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := someTally.Draw(t, "a")
		b, err := Decode(a.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Encode(), b.Encode()) || a.length != b.length || a.cells != b.cells || a.newest != b.newest || len(a.paths) != len(b.paths) {
			t.Fatalf("another tally came back")
		}
		for p, cells := range a.paths {
			if !slices.Equal(cells, b.paths[p]) {
				t.Fatalf("%q: %v became %v", p, cells, b.paths[p])
			}
		}
		if len(a.traces) > 0 && !reflect.DeepEqual(a.traces, b.traces) {
			t.Fatalf("other starts came back")
		}
	})
}

// example is the tally that FORMAT.md shows.
func example() *Tally {
	t := &Tally{}
	at := time.Unix(2930*7*86400, 0)
	t.Opened("etc/hosts", Later, 0, at)
	t.Opened("etc/hosts", Later, 1000, at)
	t.Read("etc/hosts", Later, 1000, at, 100)
	t.AddTrace(Trace{Started: noon, Machine: 7, Uses: []Use{
		{Want{Path: "etc", Dir: true}, 1500 * time.Millisecond, Start},
		{wantOf("etc/motd"), 1500 * time.Millisecond, Start},
		{Want{Path: "lib/big", Span: Span{2 * Grain, 5 * Grain}}, 2 * time.Second, Login},
	}})
	return t
}

func TestFormatExample(t *testing.T) {
	spec, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, dump, _ := strings.Cut(string(spec), "## Example")
	_, dump, _ = strings.Cut(dump, "```\n")
	dump, _, _ = strings.Cut(dump, "```")
	var want []byte
	for line := range strings.Lines(dump) {
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(line[:min(len(line), 40)]), " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, b...)
	}
	if got := example().Encode(); !bytes.Equal(got, want) {
		t.Errorf("FORMAT.md shows\n%x, the example encodes to\n%x", want, got)
	}
}

func vector(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What version 1 said is still known: uses without a user, starts of whole files.
func TestVersion1(t *testing.T) {
	got, err := Decode(vector(t, "v1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	want := &Tally{}
	at := time.Unix(2930*7*86400, 0)
	want.count("etc/hosts", at, cell{phase: Later, opens: 2, bytes: 100})
	want.AddTrace(Trace{Started: noon, Machine: 7, Uses: []Use{{wantOf("etc/motd"), 1500 * time.Millisecond, Start}}})
	if !bytes.Equal(got.Encode(), want.Encode()) {
		t.Errorf("%x, want %x", got.Encode(), want.Encode())
	}
}

// Any damage is an error.
func TestDamage(t *testing.T) {
	whole := example().Encode()
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			if _, err := Decode(b); !errors.Is(err, ErrFormat) {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
		}
		if _, err := Decode(whole[:i]); !errors.Is(err, ErrFormat) {
			t.Fatalf("cut after %d bytes: %v", i, err)
		}
	}
}

// FuzzDecode puts the right checksum behind any body: what decodes is the only encoding of what it says, and holds the bounds.
func FuzzDecode(f *testing.F) {
	old, err := Decode(vector(f, "v1.hex"))
	if err != nil {
		f.Fatal(err)
	}
	seeds := []*Tally{{}, example(), old, merged(someTally.Example(1), someTally.Example(2)), someTally.Example(3)}
	for _, t := range seeds {
		b := t.Encode()
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, castagnoli))
		tally, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("another error: %v", err)
			}
			return
		}
		again := tally.Encode()
		if string(b[:len(magic)]) == magic1 { // is read, and written as the present version
			tally, err = Decode(again)
			if b = again; err != nil {
				t.Fatal(err)
			}
			again = tally.Encode()
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%x decodes, and encodes to %x", b, again)
		}
		_ = tally.StartSet()
		for u := range tally.All(noon) {
			if !validPath(u.Path) || math.IsNaN(u.Score) || u.Score < 0 {
				t.Fatalf("unfit usage %v", u)
			}
		}
	})
}

// A use weighs half as much after each half-life, and nothing after the weeks that are remembered.
func TestDecay(t *testing.T) {
	tally := &Tally{}
	tally.Opened("f", Later, 0, noon)
	now := noon.Add(week)
	s := tally.Usage("f", now).Score
	if half := tally.Usage("f", now.Add(HalfLife)).Score; math.Abs(half-s/2) > 1e-9 || s <= 0 {
		t.Errorf("score %v, after a half-life %v", s, half)
	}
	tally.Opened("g", Later, 0, noon.Add(Weeks*week))
	if tally.Len() != 1 || tally.Usage("f", now).Score != 0 {
		t.Errorf("after %d weeks the use is still counted", Weeks)
	}
	tally.Opened("f", Later, 0, noon)
	if tally.Len() != 1 {
		t.Errorf("a use before the weeks remembered was counted")
	}
}

// Invariant 10: however many paths are used, the tally keeps its bounds, and the most valuable ones.
func TestBounds(t *testing.T) {
	tally := &Tally{}
	for i := range 3 * MaxPaths {
		tally.Opened(fmt.Sprintf("once/%d", i), Later, 0, noon)
		if i%100 == 0 {
			for range 2 {
				tally.Opened(fmt.Sprintf("often/%d", i), Later, 0, noon)
			}
		}
		if tally.Len() > MaxPaths*5/4 {
			t.Fatalf("%d paths", tally.Len())
		}
	}
	tally, err := Decode(tally.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if tally.Len() != MaxPaths {
		t.Errorf("%d paths, want %d", tally.Len(), MaxPaths)
	}
	for i := 0; i < 3*MaxPaths; i += 100 {
		if p := fmt.Sprintf("often/%d", i); tally.Usage(p, noon).Score == 0 {
			t.Fatalf("%s was dropped", p)
		}
	}
	long := &Tally{}
	for i := range 12_000 {
		long.Opened(fmt.Sprintf("%s/%d", strings.Repeat("x", 1000), i), Later, 0, noon)
	}
	if _, err := Decode(long.Encode()); err != nil || long.length > MaxPathBytes {
		t.Errorf("%d bytes of paths, %v", long.length, err)
	}
}

// Counts stop at their bound instead of turning over.
func TestCountsStop(t *testing.T) {
	tally := &Tally{}
	for range 3 {
		tally.count("f", noon, cell{phase: Later, opens: math.MaxUint32, bytes: math.MaxUint64})
	}
	if c := tally.paths["f"][0]; c.opens != opensMax || c.bytes != bytesMax {
		t.Errorf("%+v", c)
	}
	if _, err := Decode(merged(tally, tally).Encode()); err != nil {
		t.Error(err)
	}
}

// A clock that was far ahead loses what it counted; the rest stays.
func TestPrune(t *testing.T) {
	wrong := &Tally{}
	wrong.Opened("f", Later, 0, noon.Add(3000*day))
	wrong.AddTrace(Trace{Started: noon.Add(3000 * day), Uses: []Use{{Want: wantOf("f")}}})
	wrong.Prune(noon)
	right := &Tally{}
	right.Opened("g", Start, 0, noon)
	want := right.Encode()
	right.Merge(wrong)
	right.Prune(noon)
	if !bytes.Equal(right.Encode(), want) {
		t.Errorf("a wrong clock's uses are still there")
	}
}

// A start set is what most starts used, in the order of the median.
func TestStartSet(t *testing.T) {
	tally := &Tally{}
	for i, names := range []string{"init lib sh x", "init sh lib once", "y init sh lib", "x init lib sh y"} {
		tr := Trace{Started: noon.Add(time.Duration(i) * time.Hour)}
		for j, n := range strings.Fields(names) {
			tr.Uses = append(tr.Uses, Use{wantOf(n), time.Duration(j) * time.Second, Start})
		}
		tally.AddTrace(tr)
	}
	if got, want := tally.StartSet(), wantsOf("init", "lib", "sh"); !slices.Equal(got, want) {
		t.Errorf("start set %v, want %v", got, want)
	}
	if len(StartSet(nil)) != 0 {
		t.Error("a start set of no starts")
	}
}

// Of a large file a start set has the parts that most starts read which saw reads of it, in the order of first use; a start
// that found the file on its disk says only that it was used.
func TestStartSetParts(t *testing.T) {
	part := func(path string, from, to uint64) Want { return Want{Path: path, Span: Span{from * Grain, to * Grain}} }
	dir := Want{Path: "lib", Dir: true}
	tally := &Tally{}
	for i, wants := range [][]Want{
		{dir, part("lib/a", 0, 2), wantOf("sh"), part("lib/a", 7, 9), part("lib/b", 1, 2)},
		{dir, part("lib/a", 1, 3), wantOf("sh"), part("lib/a", 8, 9)},
		{dir, wantOf("lib/a"), wantOf("sh"), wantOf("lib/b")},
	} {
		tr := Trace{Started: noon.Add(time.Duration(i) * time.Hour)}
		for _, w := range wants {
			tr.Uses = append(tr.Uses, Use{Want: w})
		}
		tally.AddTrace(tr)
	}
	want := []Want{dir, part("lib/a", 1, 2), wantOf("sh"), part("lib/a", 8, 9), part("lib/b", 1, 2)}
	got := tally.StartSet()
	slices.SortFunc(want, compareWants)
	slices.SortFunc(got, compareWants)
	if !slices.Equal(got, want) {
		t.Errorf("start set\n%v, want\n%v", got, want)
	}
}

// A set of spans answers what a map of grains answers.
func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set spans
		have := map[uint64]bool{}
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			from := rapid.Uint64Range(0, 30).Draw(t, "from")
			s := Span{from * Grain, (from + rapid.Uint64Range(1, 9).Draw(t, "n")) * Grain}
			var want, got []uint64
			for g := s.From; g < s.To; g += Grain {
				if !have[g] {
					want = append(want, g)
				}
				have[g] = true
			}
			for _, f := range set.add(s) {
				for g := f.From; g < f.To; g += Grain {
					got = append(got, g)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%v is new of %v, want %v", got, s, want)
			}
		}
		for i := range set {
			if i > 0 && set[i].From <= set[i-1].To {
				t.Fatalf("parts touch: %v", set)
			}
		}
	})
}

// Of one start that is recorded while it goes on, the longest record stays; of many starts, the latest.
func TestTraces(t *testing.T) {
	tally := &Tally{}
	uses := []Use{{Want: wantOf("a")}, {Want: wantOf("b"), After: time.Second}, {Want: wantOf("a"), After: 2 * time.Second}, {Want: wantOf("../c")}}
	for _, n := range []int{1, 4, 2} {
		tally.AddTrace(Trace{Started: noon, Uses: uses[:n]})
	}
	if tr := tally.Traces(); len(tr) != 1 || !slices.Equal(tr[0].Uses, uses[:2]) {
		t.Errorf("traces %v", tr)
	}
	for i := range 2 * MaxTraces {
		tally.AddTrace(Trace{Started: noon.Add(time.Duration(i) * time.Hour), Uses: uses[:1]})
	}
	if tr := tally.Traces(); len(tr) != MaxTraces || !tr[0].Started.Equal(noon.Add((2*MaxTraces-1)*time.Hour)) {
		t.Errorf("%d traces, the first of %v", len(tr), tr[0].Started)
	}
}
