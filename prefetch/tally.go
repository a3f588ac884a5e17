package prefetch

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// Bounds of a tally. Where there is more, the least valuable paths go.
const (
	// MaxPaths is how many paths have counts.
	MaxPaths = 50_000
	// MaxPathBytes is how long they are together.
	MaxPathBytes = 8 << 20
	// MaxCells is how many counts they have together.
	MaxCells = 400_000
)

// Tally says how often, and how lately, files are used, and keeps the latest starts. The zero value is empty.
type Tally struct {
	paths  map[string][]cell
	length int   // of all keys of paths, in bytes
	cells  int   // of all paths
	newest int32 // week of the newest cell; 0 if there is none
	traces []Trace
}

// Usage is one path's part of a tally.
type Usage struct {
	Path string
	// Score is the number of uses, halved for every HalfLife that has passed since.
	Score float64
	// PerUse is how many bytes one use read, 0 if reads were not seen (native files are read past the file system).
	PerUse uint64
}

// Opened counts a user's open of path at a time.
func (t *Tally) Opened(path string, phase Phase, user uint32, at time.Time) {
	t.count(path, at, cell{phase: phase, user: user, opens: 1})
}

// Read counts n bytes that a user read of path at a time.
func (t *Tally) Read(path string, phase Phase, user uint32, at time.Time, n uint64) {
	t.count(path, at, cell{phase: phase, user: user, bytes: n})
}

// count ignores what cannot be in a tally: unfit paths, and times before what it remembers (a clock that stands still at
// its factory date must not push out what was learnt).
func (t *Tally) count(path string, at time.Time, c cell) {
	c.week, c.opens, c.bytes = weekOf(at), min(c.opens, opensMax), min(c.bytes, bytesMax)
	if c.week <= 0 || c.week <= t.newest-Weeks || c.phase >= phases || c.opens == 0 && c.bytes == 0 || !validPath(path) {
		return
	}
	t.advance(c.week)
	t.set(path, addCell(t.paths[path], c))
	if t.over(MaxPaths/4, MaxPathBytes/4, MaxCells/4) {
		t.Trim()
	}
}

// over says that the tally is beyond its bounds by more than this.
func (t *Tally) over(paths, bytes, cells int) bool {
	return len(t.paths) > MaxPaths+paths || t.length > MaxPathBytes+bytes || t.cells > MaxCells+cells
}

func (t *Tally) set(path string, cells []cell) {
	if t.paths == nil {
		t.paths = make(map[string][]cell)
	}
	had, ok := t.paths[path]
	if !ok {
		t.length += len(path)
	}
	t.cells += len(cells) - len(had)
	t.paths[path] = cells
}

func (t *Tally) drop(path string) {
	t.cells -= len(t.paths[path])
	delete(t.paths, path)
	t.length -= len(path)
}

// advance moves the weeks that are remembered.
func (t *Tally) advance(week int32) {
	if week <= t.newest {
		return
	}
	t.newest = week
	for path, cells := range t.paths {
		if kept := within(cells, week); len(kept) == 0 {
			t.drop(path)
		} else {
			t.set(path, kept)
		}
	}
}

// Merge adds another tally: of another run or another machine, each once, since counts add up. Below MaxPaths it is
// associative and commutative; above, what is least valuable at that moment goes.
func (t *Tally) Merge(o *Tally) {
	t.advance(o.newest)
	for path, cells := range o.paths {
		if cells = within(cells, t.newest); len(cells) == 0 {
			continue
		}
		mine := slices.Clone(t.paths[path])
		for _, c := range cells {
			mine = addCell(mine, c)
		}
		t.set(path, mine)
	}
	for _, tr := range o.traces {
		t.AddTrace(tr)
	}
	t.Trim()
}

// Trim drops the least valuable paths until the tally keeps its bounds.
func (t *Tally) Trim() { t.trim(0, 0, 0) }

// trim drops the least valuable paths until the tally is beyond its bounds by no more than this.
func (t *Tally) trim(paths, bytes, cells int) {
	if !t.over(paths, bytes, cells) {
		return
	}
	type ranked struct {
		path  string
		value uint64
	}
	all := make([]ranked, 0, len(t.paths))
	for path, cells := range t.paths {
		all = append(all, ranked{path, value(cells, t.newest)})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(b.path, a.path))
	})
	for _, r := range all {
		if !t.over(paths, bytes, cells) {
			break
		}
		t.drop(r.path)
	}
	t.renew()
}

// Prune drops counts that lie more than a week after now, and starts more than an hour: a wrong clock made them, and they
// would push out everything else.
// Whoever trusts their clock calls it after Decode and before Merge.
func (t *Tally) Prune(now time.Time) {
	latest := weekOf(now) + 1
	for path, cells := range t.paths {
		kept := slices.DeleteFunc(slices.Clone(cells), func(c cell) bool { return c.week > latest })
		if len(kept) == 0 {
			t.drop(path)
		} else {
			t.set(path, kept)
		}
	}
	t.traces = slices.DeleteFunc(t.traces, func(tr Trace) bool { return tr.Started.After(now.Add(time.Hour)) })
	t.renew()
}

// renew finds the newest week again after paths went.
func (t *Tally) renew() {
	t.newest = 0
	for _, cells := range t.paths {
		t.newest = max(t.newest, cells[0].week)
	}
}

// Len is the number of paths with counts.
func (t *Tally) Len() int { return len(t.paths) }

// Usage returns what is known about path at now.
func (t *Tally) Usage(path string, now time.Time) Usage {
	return usage(path, t.paths[path], now)
}

func usage(path string, cells []cell, now time.Time) Usage {
	return Usage{path, score(cells, now), bytesPerUse(cells)}
}

// All yields every path with counts, in no order.
func (t *Tally) All(now time.Time) iter.Seq[Usage] {
	return func(yield func(Usage) bool) {
		for path, cells := range t.paths {
			if !yield(usage(path, cells, now)) {
				return
			}
		}
	}
}
