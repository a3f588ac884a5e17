package prefetch

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Bounds of the traces in a tally.
const (
	// MaxTraces is how many starts a tally keeps, the latest.
	MaxTraces = 8
	// MaxUses is how many first uses a trace has.
	MaxUses = 8192
	// MaxTraceBytes is how long its paths are together.
	MaxTraceBytes = 1 << 20
)

// Trace is the record of one start: every file once, in the order of first use.
type Trace struct {
	// Started is when, to the millisecond; Machine where. Together they name the trace.
	Started time.Time
	Machine uint64
	Uses    []Use
}

// Use is the first use of a file after the start, to the millisecond.
type Use struct {
	Path  string
	After time.Duration
}

// fit returns the trace as a tally keeps it: valid and distinct paths, times that do not run backwards, within bounds.
func (tr Trace) fit() Trace {
	out := Trace{Started: time.UnixMilli(min(max(tr.Started.UnixMilli(), 0), maxStarted)).UTC(), Machine: tr.Machine}
	seen := make(map[string]struct{}, len(tr.Uses))
	var after time.Duration
	length := 0
	for _, u := range tr.Uses {
		if _, twice := seen[u.Path]; twice || !validPath(u.Path) {
			continue
		}
		if length += len(u.Path); length > MaxTraceBytes || len(out.Uses) == MaxUses {
			break
		}
		seen[u.Path] = struct{}{}
		after = min(max(after, u.After.Truncate(time.Millisecond)), 24*time.Hour)
		out.Uses = append(out.Uses, Use{u.Path, after})
	}
	return out
}

// AddTrace keeps a start. Of two records of the same start the longer stays, so that one may be added while it grows.
func (t *Tally) AddTrace(tr Trace) {
	if tr = tr.fit(); len(tr.Uses) == 0 {
		return
	}
	i, found := slices.BinarySearchFunc(t.traces, tr, compareTraces)
	switch {
	case !found:
		t.traces = slices.Insert(t.traces, i, tr)
		t.traces = t.traces[:min(len(t.traces), MaxTraces)]
	case compareUses(t.traces[i].Uses, tr.Uses) < 0:
		t.traces[i] = tr
	}
}

// compareTraces orders by start, latest first, then by machine.
func compareTraces(a, b Trace) int {
	return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(b.Machine, a.Machine))
}

func compareUses(a, b []Use) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), slices.CompareFunc(a, b, func(a, b Use) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.After, b.After))
	}))
}

// Traces returns the starts that are kept, latest first.
func (t *Tally) Traces() []Trace { return slices.Clone(t.traces) }

// StartSet returns the files of the tally's starts, see the function.
func (t *Tally) StartSet() []string { return StartSet(t.traces) }

// StartSet merges starts: the files that more than half of them used, by the median of their rank of first use.
func StartSet(traces []Trace) []string {
	ranks := make(map[string][]int)
	for _, tr := range traces {
		for rank, u := range tr.Uses {
			ranks[u.Path] = append(ranks[u.Path], rank)
		}
	}
	type ranked struct {
		path string
		rank int
	}
	var set []ranked
	for path, r := range ranks {
		if 2*len(r) > len(traces) {
			set = append(set, ranked{path, twiceMedian(r)})
		}
	}
	slices.SortFunc(set, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.path, b.path))
	})
	paths := make([]string, len(set))
	for i, s := range set {
		paths[i] = s.path
	}
	return paths
}

func twiceMedian(r []int) int {
	slices.Sort(r)
	return r[(len(r)-1)/2] + r[len(r)/2]
}
