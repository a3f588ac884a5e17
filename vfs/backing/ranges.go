package backing

import "sort"

// Ranges is a set of byte offsets as sorted, disjoint, non-adjacent ranges. The
// zero value is empty.
type Ranges struct{ r []Range }

// Range is the bytes from Start up to, not including, End.
type Range struct{ Start, End uint64 }

// Len is the number of bytes.
func (r Range) Len() uint64 { return r.End - r.Start }

// Add puts a range into the set.
func (s *Ranges) Add(a Range) {
	if a.Start >= a.End {
		return
	}
	i := sort.Search(len(s.r), func(i int) bool { return s.r[i].End >= a.Start })
	j := i
	for ; j < len(s.r) && s.r[j].Start <= a.End; j++ {
		a.Start, a.End = min(a.Start, s.r[j].Start), max(a.End, s.r[j].End)
	}
	if i == j {
		s.r = append(s.r, Range{})
		copy(s.r[i+1:], s.r[i:])
	} else {
		s.r = append(s.r[:i+1], s.r[j:]...)
	}
	s.r[i] = a
}

// Remove takes a range out of the set.
func (s *Ranges) Remove(a Range) {
	if a.Start >= a.End {
		return
	}
	var out []Range
	for _, r := range s.r {
		if head := (Range{r.Start, min(r.End, a.Start)}); head.Start < head.End {
			out = append(out, head)
		}
		if tail := (Range{max(r.Start, a.End), r.End}); tail.Start < tail.End {
			out = append(out, tail)
		}
	}
	s.r = out
}

// Holds says whether all of a is in the set.
func (s *Ranges) Holds(a Range) bool {
	if a.Start >= a.End {
		return true
	}
	i := sort.Search(len(s.r), func(i int) bool { return s.r[i].End > a.Start })
	return i < len(s.r) && s.r[i].Start <= a.Start && a.End <= s.r[i].End
}

// Absent returns the parts of a that are not in the set, in order.
func (s *Ranges) Absent(a Range) []Range {
	var out []Range
	i := sort.Search(len(s.r), func(i int) bool { return s.r[i].End > a.Start })
	for at := a.Start; at < a.End; i++ {
		if i == len(s.r) || s.r[i].Start >= a.End {
			return append(out, Range{at, a.End})
		}
		if s.r[i].Start > at {
			out = append(out, Range{at, s.r[i].Start})
		}
		at = s.r[i].End
	}
	return out
}

// All returns the ranges in order.
func (s *Ranges) All() []Range { return s.r }

// Len is the number of bytes in the set.
func (s *Ranges) Len() (n uint64) {
	for _, r := range s.r {
		n += r.Len()
	}
	return n
}
