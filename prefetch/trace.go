package prefetch

import (
	"cmp"
	"slices"
	"time"
)

// Bounds of the traces in a tally.
const (
	// MaxTraces is how many starts a tally keeps, the latest.
	MaxTraces = 8
	// MaxUses is how many first uses a trace has.
	MaxUses = 16384
	// MaxTraceBytes is how long its paths are together, each as often as it is used.
	MaxTraceBytes = 1 << 20
)

// Trace is the record of one start and of what followed at once: every directory, file or part of a file once, in the
// order of first use.
type Trace struct {
	// Started is when, to the millisecond; Machine where. Together they name the trace.
	Started time.Time
	Machine uint64
	Uses    []Use
}

// fit returns the trace as a tally keeps it: valid and first uses, times that do not run backwards, within bounds.
func (tr Trace) fit() Trace {
	out := Trace{Started: time.UnixMilli(min(max(tr.Started.UnixMilli(), 0), maxStarted)).UTC(), Machine: tr.Machine}
	seen := newUsed()
	var after time.Duration
	length := 0
	for _, u := range tr.Uses {
		if !u.valid() {
			continue
		}
		for _, w := range seen.first(u.Want) {
			if length += len(w.Path); length > MaxTraceBytes || len(out.Uses) == MaxUses {
				return out
			}
			after = min(max(after, u.After.Truncate(time.Millisecond)), 24*time.Hour)
			out.Uses = append(out.Uses, Use{w, after, u.Phase})
		}
	}
	return out
}

func (u Use) valid() bool {
	return validPath(u.Path) && u.Span.valid() && (u.Whole() || !u.Dir) && u.Phase < phases
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

// Traces returns the starts that are kept, latest first.
func (t *Tally) Traces() []Trace { return slices.Clone(t.traces) }

// StartSet returns what the tally's starts need, see the function.
func (t *Tally) StartSet() []Want { return StartSet(t.traces) }
