package prefetch

import "slices"

// Grain is the unit in which reads of a file are remembered: the least chunk of a large file, so that a finer record would
// bring no less.
const Grain = 64 << 10

// Span is a part of a file in bytes, from From up to To, both multiples of Grain. The zero Span is the whole file.
type Span struct{ From, To uint64 }

// Whole says that it is not a part.
func (s Span) Whole() bool { return s.To == 0 }

// Len is the number of bytes of a part.
func (s Span) Len() uint64 { return s.To - s.From }

// spanMax bounds where a span ends: larger files have no spans behind it.
const spanMax = 1 << 46

// spanOf returns the span that n bytes at off touch.
func spanOf(off, n uint64) (s Span, ok bool) {
	if n == 0 || off >= spanMax || n > spanMax-off {
		return Span{}, false
	}
	return Span{off / Grain * Grain, (off + n + Grain - 1) / Grain * Grain}, true
}

func (s Span) valid() bool {
	return s.From%Grain == 0 && s.To%Grain == 0 && s.To <= spanMax && (s.From < s.To || s == Span{})
}

// spans are parts of one file in ascending order, with gaps between them.
type spans []Span

// add puts s into the set and returns what of it was not there.
func (set *spans) add(s Span) (fresh []Span) {
	i, _ := slices.BinarySearchFunc(*set, s.From, func(have Span, from uint64) int {
		if have.To < from {
			return -1
		}
		return 1
	})
	j, at, all := i, s.From, s
	for ; j < len(*set) && (*set)[j].From <= s.To; j++ {
		have := (*set)[j]
		if at < have.From {
			fresh = append(fresh, Span{at, have.From})
		}
		at = max(at, have.To)
		all = Span{min(all.From, have.From), max(all.To, have.To)}
	}
	if at < s.To {
		fresh = append(fresh, Span{at, s.To})
	}
	if len(fresh) > 0 {
		*set = slices.Replace(*set, i, j, all)
	}
	return fresh
}
