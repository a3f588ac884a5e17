package backing

import (
	"testing"

	"pgregory.net/rapid"
)

// drawRange is a range within a small file, empty ones included.
func drawRange(t *rapid.T, name string) Range {
	a, b := rapid.Uint64Range(0, 60).Draw(t, name+" start"), rapid.Uint64Range(0, 60).Draw(t, name+" end")
	return Range{min(a, b), max(a, b)}
}

// A set of ranges is the set of its offsets: sorted, disjoint and non-adjacent.
func TestRangesAreASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Ranges
		var in [61]bool
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			r := drawRange(t, "range")
			add := rapid.IntRange(0, 3).Draw(t, "remove") > 0
			if add {
				s.Add(r)
			} else {
				s.Remove(r)
			}
			for i := r.Start; i < r.End; i++ {
				in[i] = add
			}
			checkRanges(t, &s, &in)
		}
		checkQuestions(t, &s, &in, drawRange(t, "question"))
	})
}

func checkRanges(t *rapid.T, s *Ranges, in *[61]bool) {
	var have [61]bool
	var total uint64
	for i, r := range s.All() {
		if r.Start >= r.End || i > 0 && r.Start <= s.All()[i-1].End {
			t.Fatalf("range %d of %v is empty, or touches the one before", i, s.All())
		}
		for j := r.Start; j < r.End; j++ {
			have[j] = true
		}
		total += r.Len()
	}
	if have != *in || s.Len() != total {
		t.Fatalf("%v, of %d bytes, is not the set", s.All(), s.Len())
	}
}

func checkQuestions(t *rapid.T, s *Ranges, in *[61]bool, q Range) {
	all := true
	var absent [61]bool
	for i := q.Start; i < q.End; i++ {
		all = all && in[i]
		absent[i] = !in[i]
	}
	if s.Holds(q) != all {
		t.Fatalf("%v holds %v: %v", s.All(), q, s.Holds(q))
	}
	var got [61]bool
	last := uint64(0)
	for _, r := range s.Absent(q) {
		if r.Start >= r.End || r.Start < last {
			t.Fatalf("absent of %v in %v: %v", q, s.All(), s.Absent(q))
		}
		last = r.End
		for i := r.Start; i < r.End; i++ {
			got[i] = true
		}
	}
	if got != absent {
		t.Fatalf("absent of %v in %v: %v", q, s.All(), s.Absent(q))
	}
}
