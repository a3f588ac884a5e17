package prefetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// memTree is a tree held in memory.
type memTree struct {
	dirs  map[string][]Item // sorted by name
	page  int               // entries in a page, 0: all
	fail  map[string]error  // by path listed or looked up
	lists int
}

// treeOf makes a tree of files; sizes are by path.
func treeOf(files map[string]uint64) *memTree {
	t := &memTree{dirs: map[string][]Item{"": nil}, fail: map[string]error{}}
	for path, size := range files {
		t.add(Item{Path: path, Size: size})
	}
	for _, items := range t.dirs {
		slices.SortFunc(items, func(a, b Item) int { return strings.Compare(base(a.Path), base(b.Path)) })
	}
	return t
}

func (t *memTree) add(it Item) {
	dir := ""
	if i := strings.LastIndexByte(it.Path, '/'); i >= 0 {
		dir = it.Path[:i]
		if _, ok := t.dirs[dir]; !ok {
			t.dirs[dir] = nil
			t.add(Item{Path: dir, Dir: true})
		}
	}
	t.dirs[dir] = append(t.dirs[dir], it)
}

func (t *memTree) List(_ context.Context, dir, after string) ([]Item, bool, error) {
	t.lists++
	if err := t.fail[dir]; err != nil {
		return nil, false, err
	}
	items := t.dirs[dir]
	for len(items) > 0 && after != "" && base(items[0].Path) <= after {
		items = items[1:]
	}
	if t.page > 0 && len(items) > t.page {
		return slices.Clone(items[:t.page]), true, nil
	}
	return slices.Clone(items), false, nil
}

func (t *memTree) Lookup(_ context.Context, paths []string) ([]Item, error) {
	out := make([]Item, len(paths))
	for i, p := range paths {
		if err := t.fail[p]; err != nil {
			return nil, err
		}
		dir := ""
		if j := strings.LastIndexByte(p, '/'); j >= 0 {
			dir = p[:j]
		}
		for _, it := range t.dirs[dir] {
			if it.Path == p {
				out[i] = it
			}
		}
	}
	return out, nil
}

// order runs a plan to its end, skipping what fails.
func order(t interface{ Fatalf(string, ...any) }, p *Plan) (paths []string, stages []Stage, lost []string) {
	for range 1_000_000 {
		w, err := p.Next(context.Background())
		if err == io.EOF {
			return paths, stages, lost
		}
		if err != nil {
			var pe *PlanError
			if !errors.As(err, &pe) {
				t.Fatalf("%v is not a PlanError", err)
			}
			if p.Skip() {
				lost = append(lost, pe.Path)
			}
		}
		for _, it := range w.Items {
			paths, stages = append(paths, it.Path), append(stages, w.Stage)
		}
	}
	t.Fatalf("the plan does not end")
	return nil, nil, nil
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

var somePath = rapid.Custom(func(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(
		[]string{"a", "b", "c", "home", ".cache", "tmp", "etc", "usr", "x y", "\xff"}), 1, 5).Draw(t, "names"), "/")
})

// someFiles draws a tree in which no path is both a file and a directory.
func someFiles(t *rapid.T) map[string]uint64 {
	files := map[string]uint64{}
	for _, p := range rapid.SliceOfN(somePath, 0, 60).Draw(t, "paths") {
		files[p+"/f"] = rapid.SampledFrom([]uint64{0, 1, 5000, hugeSize - 1, hugeSize, 3 * hugeSize}).Draw(t, "size")
	}
	return files
}

// A plan covers every file exactly once, the start set first and in its order, and says the same twice.
func TestPlanCoversAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := someFiles(t)
		tree := treeOf(files)
		tree.page = rapid.IntRange(0, 3).Draw(t, "page")
		pick := rapid.Custom(func(t *rapid.T) string { return somePath.Draw(t, "p") + "/f" })
		start := rapid.SliceOfNDistinct(pick, 0, 20, rapid.ID).Draw(t, "start")
		tally := &Tally{}
		for _, p := range rapid.SliceOfN(pick, 0, 30).Draw(t, "used") {
			tally.Opened(p, Later, 0, noon)
		}
		got, stages, _ := order(t, NewPlan(tree, tally, wantsOf(start...), noon))
		again, _, _ := order(t, NewPlan(tree, tally, wantsOf(start...), noon))
		if !slices.Equal(got, again) {
			t.Fatalf("two plans of one tree differ:\n%q\n%q", got, again)
		}
		if !slices.IsSorted(stages) {
			t.Fatalf("stages out of order: %v", stages)
		}
		start = slices.DeleteFunc(start, func(p string) bool { _, ok := files[p]; return !ok })
		if !slices.Equal(got[:len(start)], start) {
			t.Fatalf("starts with %q, want %q", got[:len(start)], start)
		}
		seen := map[string]bool{}
		for _, p := range got {
			if _, ok := files[p]; !ok || seen[p] {
				t.Fatalf("%q is given twice, or is no file", p)
			}
			seen[p] = true
		}
		if len(seen) != len(files) {
			t.Fatalf("%d of %d files given", len(seen), len(files))
		}
	})
}

func TestPlanOrder(t *testing.T) {
	tree := treeOf(map[string]uint64{
		"bin/sh": 100, "etc/passwd": 10, "home/u/letter": 50, "home/u/.cache/x": 5, "home/u/mbox": hugeSize * 2,
		"usr/share/doc/a": 1, "usr/lib/lib.so": 1000, "usr/lib/huge.so": hugeSize, "var/log/syslog": 9,
		"usr/bin/often": 1 << 20, "usr/bin/seldom": 1 << 20, "usr/bin/small": 1 << 10, "srv/big": hugeSize * 3, "srv/used": hugeSize * 3,
	})
	tally := &Tally{}
	for range 20 {
		tally.Opened("usr/bin/often", Later, 0, noon)
		tally.Opened("srv/used", Later, 0, noon)
		tally.Read("srv/used", Later, 0, noon, 4096)
	}
	tally.Opened("usr/bin/seldom", Later, 0, noon)
	tally.Opened("usr/bin/small", Later, 0, noon)
	tally.Opened("srv/big", Later, 0, noon.Add(-60*24*time.Hour))
	got, _, _ := order(t, NewPlan(tree, tally, wantsOf("usr/lib/lib.so", "gone", "bin/sh", "usr/lib/lib.so"), noon))
	want := []string{
		"usr/lib/lib.so", "bin/sh", // the start set
		"usr/bin/small", "usr/bin/often", "usr/bin/seldom", "srv/used", // by waiting saved for each byte
		"etc/passwd", "home/u/letter", // what a person made or set up
		"home/u/.cache/x", "usr/share/doc/a", "var/log/syslog", // what nobody asks for by name
		"usr/lib/huge.so", "home/u/mbox", "srv/big", // huge ones, small ones first
	}
	if !slices.Equal(got, want) {
		t.Errorf("order\n%q, want\n%q", got, want)
	}
}

// Of a large file the start set gives parts, in its order; the file itself comes later, and is worth what is left of it.
func TestPlanParts(t *testing.T) {
	const big, shrunk = 100 * Grain, 3*Grain + 1
	tree := treeOf(map[string]uint64{"lib/big": big, "lib/shrunk": shrunk, "lib/small": Grain, "bin/sh": 10, "bin/new": 1 << 20})
	part := func(path string, from, to uint64) Want { return Want{Path: path, Span: Span{from * Grain, to * Grain}} }
	start := []Want{
		{Path: "lib", Dir: true},
		part("lib/big", 5, 7), wantOf("bin/sh"), part("lib/small", 0, 1), part("lib/big", 90, 101),
		part("lib/shrunk", 2, 9), part("lib/shrunk", 4, 9), part("lib/gone", 0, 1),
	}
	tally := &Tally{}
	tally.Opened("lib/big", Start, 0, noon)
	tally.Read("lib/big", Start, 0, noon, 12*Grain) // all that is read of it is in the start set
	tally.Opened("bin/new", Later, 0, noon)
	var got []Item
	p := NewPlan(tree, tally, start, noon)
	for {
		w, err := p.Next(t.Context())
		if err == io.EOF {
			break
		}
		got = append(got, w.Items...)
	}
	want := []Item{
		{Path: "lib/big", Size: big, Span: start[1].Span},
		{Path: "bin/sh", Size: 10},
		{Path: "lib/small", Size: Grain},
		{Path: "lib/big", Size: big, Span: start[4].Span},
		{Path: "lib/shrunk", Size: shrunk, Span: start[5].Span},
		{Path: "bin/new", Size: 1 << 20},
		{Path: "lib/big", Size: big, had: 12 * Grain},
		{Path: "lib/shrunk", Size: shrunk, had: Grain + 1},
	}
	if !slices.Equal(got, want) {
		t.Errorf("items\n%+v, want\n%+v", got, want)
	}
}

// The start set is followed where it is used in another order: what comes next is what came next before. All of it comes.
func TestPlanFollows(t *testing.T) {
	files := map[string]uint64{}
	var start []Want
	for _, program := range []string{"a", "b", "c"} {
		for i := range 3 * startBlock {
			p := fmt.Sprintf("%s/%d", program, i)
			files[p], start = 10, append(start, wantOf(p))
		}
	}
	p := NewPlan(treeOf(files), &Tally{}, start, noon)
	var got []string
	next := func(program string, i int) {
		t.Helper()
		w, err := p.Next(t.Context())
		if err != nil || w.Stage != StartSetStage || len(w.Items) > startBlock {
			t.Fatalf("%d items of stage %d, %v", len(w.Items), w.Stage, err)
		}
		if want := fmt.Sprintf("%s/%d", program, i); w.Items[0].Path != want {
			t.Errorf("next comes %s, want %s", w.Items[0].Path, want)
		}
		for _, it := range w.Items {
			got = append(got, it.Path)
		}
	}
	next("a", 0)
	p.Used("a/5") // is on its way: the order was not left
	next("a", startBlock)
	p.Used("c/0")
	p.Used("nobody's")
	next("c", 1)
	next("c", startBlock+1)
	next("c", 2*startBlock+1) // to its end, and from the beginning what was left out
	next("a", 2*startBlock+1)
	next("b", 1)
	next("b", startBlock+1)
	next("b", 2*startBlock+1)
	slices.Sort(got)
	if n := len(slices.Compact(got)); n != len(files) || p.start.pending() {
		t.Errorf("%d of %d came", n, len(files))
	}
}

// What cannot be listed is tried again at the end, and in the end named; everything else comes once.
func TestPlanSkips(t *testing.T) {
	files := map[string]uint64{"a/1": 1, "a/2": 1, "bad/1": 1, "bad/sub/2": 1, "c/3": 1}
	tree := treeOf(files)
	tree.fail["bad"] = errors.New("damaged")
	got, _, lost := order(t, NewPlan(tree, &Tally{}, nil, noon))
	if want := []string{"a/1", "a/2", "c/3"}; !slices.Equal(got, want) || !slices.Equal(lost, []string{"bad"}) {
		t.Errorf("got %q, lost %q", got, lost)
	}

	p := NewPlan(tree, &Tally{}, wantsOf("c/3", "bad"), noon)
	if _, err := p.Next(t.Context()); err == nil {
		t.Fatal("a start set that cannot be looked up is not an error")
	}
	p.Skip()
	delete(tree.fail, "bad")
	if got, _, _ := order(t, p); len(got) != len(files) {
		t.Errorf("after a lookup that failed: %q, want all of %v", got, files)
	}
}

// What is put off is bounded: with more huge files than that, all come all the same, once.
func TestPlanBoundsHuge(t *testing.T) {
	files := map[string]uint64{}
	for i := range maxHuge + 1000 {
		files[fmt.Sprintf("d%d/f%d", i%50, i)] = hugeSize + uint64(i*7919%5000)
	}
	for i := range maxAside + 1000 {
		files[fmt.Sprintf("home/u%d/.cache/f", i)] = 1
	}
	p := NewPlan(treeOf(files), &Tally{}, nil, noon)
	seen := map[string]bool{}
	for {
		w, err := p.Next(t.Context())
		if err == io.EOF {
			break
		}
		if len(p.rest.huge) > maxHuge || len(p.rest.aside) > maxAside {
			t.Fatalf("%d huge files, %d directories held", len(p.rest.huge), len(p.rest.aside))
		}
		for _, it := range w.Items {
			if seen[it.Path] {
				t.Fatalf("%q twice", it.Path)
			}
			seen[it.Path] = true
		}
	}
	if len(seen) != len(files) {
		t.Errorf("%d of %d", len(seen), len(files))
	}
}

// vastTree is a tree of many files that nobody holds: 1,000 directories of 1,000 files, and one of 200,000 directories.
type vastTree struct{}

func (vastTree) Lookup(_ context.Context, paths []string) ([]Item, error) {
	return make([]Item, len(paths)), nil
}

func (vastTree) List(_ context.Context, dir, after string) (items []Item, more bool, err error) {
	const page = 1000
	n, isDir := 1000, false
	switch dir {
	case "":
		n, isDir = 1001, true
	case "1001000":
		n, isDir = 200_000, true
	}
	first := 0
	if after != "" {
		fmt.Sscan(after, &first)
		first -= 1_000_000 - 1
	}
	if strings.HasPrefix(dir, "1001000/") {
		n = 1
	}
	for i := first; i < min(n, first+page); i++ {
		items = append(items, Item{Path: join(dir, fmt.Sprint(1_000_000+i)), Size: uint64(i%17) << 20, Dir: isDir})
	}
	return items, first+page < n, nil
}

// Invariant 10: what a plan holds does not grow with the desktop.
func TestPlanMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("walks 1.2 million files")
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := NewPlan(vastTree{}, &Tally{}, nil, noon)
	files, at := 0, 0
	for {
		w, err := p.Next(t.Context())
		if err == io.EOF {
			break
		}
		if files += len(w.Items); files >= at {
			at += 200_000
			runtime.GC()
			runtime.ReadMemStats(&now)
			if grown := int64(now.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
				t.Fatalf("after %d files the plan holds %d KiB", files, grown>>10)
			}
		}
	}
	if files != 1_200_000 {
		t.Errorf("%d files", files)
	}
}

// A tally of many files is given without looking all of them up first, and still once each, the most used and small first.
func TestPlanKnownInGroups(t *testing.T) {
	files, tally := map[string]uint64{}, &Tally{}
	for i := range 3 * group {
		p := fmt.Sprintf("d%d/f%d", i%100, i)
		files[p] = uint64(i*7919%300_000) + 1
		for range 1 + i%5 {
			tally.Opened(p, Later, 0, noon)
		}
	}
	tree := &countingTree{memTree: treeOf(files)}
	p := NewPlan(tree, tally, nil, noon)
	w, err := p.Next(t.Context())
	if err != nil || w.Stage != KnownStage || tree.asked > group {
		t.Fatalf("%v, stage %d, %d looked up before the first is given", err, w.Stage, tree.asked)
	}
	if u := tally.Usage(w.Items[0].Path, noon); files[u.Path] > 10_000 || u.Score < tally.Usage("d4/f4", noon).Score*0.99 {
		t.Errorf("begins with %v of %d bytes", u, files[u.Path])
	}
	got, stages, _ := order(t, p)
	if n := len(got) + len(w.Items); n != len(files) || slices.Max(stages) != KnownStage {
		t.Errorf("%d of %d given, up to stage %d", n, len(files), slices.Max(stages))
	}
}

// countingTree counts what is looked up.
type countingTree struct {
	*memTree
	asked int
}

func (t *countingTree) Lookup(ctx context.Context, paths []string) ([]Item, error) {
	t.asked += len(paths)
	return t.memTree.Lookup(ctx, paths)
}

// Of files used equally often, the one that costs less comes first; of equal sizes, the one used more.
func TestWorth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := Usage{Score: rapid.Float64Range(0.001, 50).Draw(t, "score")}
		more := Usage{Score: u.Score * 1.1}
		size := uint64(rapid.IntRange(0, 1<<30).Draw(t, "size"))
		if worth(more, size) <= worth(u, size) {
			t.Fatalf("more uses are not worth more")
		}
		if worth(u, size) < worth(u, size+1<<20) {
			t.Fatalf("a larger file is worth more")
		}
	})
}
