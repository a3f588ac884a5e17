package prefetch

import (
	"cmp"
	"slices"
)

// StartSet merges starts: what more than half of them used, by the median of its rank of first use. Of a file whose reads
// were seen, it is the parts that were read, more often than by half of the starts that saw all reads of it. The others had
// the file on the disk already, or on their way.
func StartSet(traces []Trace) []Want {
	m := merger{starts: map[Want]int{}, saw: map[string]int{}, ranks: map[Want][]int{}}
	for _, tr := range traces {
		m.add(tr.Uses)
	}
	type ranked struct {
		Want
		rank int
	}
	var set []ranked
	for w, ranks := range m.ranks {
		if m.wanted(w, len(ranks), len(traces)) {
			set = append(set, ranked{w, twiceMedian(ranks)})
		}
	}
	slices.SortFunc(set, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), compareWants(a.Want, b.Want))
	})
	var wants []Want
	for _, s := range set {
		wants = appendWant(wants, s.Want)
	}
	return wants
}

// maxPart bounds a part, so that the order can be left within a large file.
const maxPart = 1 << 20

// appendWant joins a part to the one before it where they touch.
func appendWant(wants []Want, w Want) []Want {
	if n := len(wants); n > 0 && !w.Whole() && wants[n-1].Path == w.Path && wants[n-1].To == w.From && wants[n-1].Len() < maxPart {
		wants[n-1].To = w.To
		return wants
	}
	return append(wants, w)
}

// maxGrains bounds how many grains of one trace are told apart: 2 GiB. What is read beyond is left to later stages.
const maxGrains = 32 << 10

// merger counts what starts have in common, parts of files grain by grain.
type merger struct {
	starts map[Want]int   // how many used a directory, or a file in any way, by path
	saw    map[string]int // how many saw all reads of a file, of those whose reads some saw
	ranks  map[Want][]int // of whole things and of grains
}

func (m *merger) add(uses []Use) {
	whole, read := map[Want]bool{}, map[string]bool{}
	grains := 0
	for rank, u := range uses {
		if u.Whole() {
			whole[u.Want] = true
			m.ranks[u.Want] = append(m.ranks[u.Want], rank)
			continue
		}
		read[u.Path] = true
		for at := u.From; at < u.To && grains < maxGrains; at += Grain {
			g := Want{Path: u.Path, Span: Span{at, at + Grain}}
			m.ranks[g] = append(m.ranks[g], rank)
			grains++
		}
	}
	for w := range whole {
		m.starts[w]++
	}
	for path := range read {
		all := Want{Path: path}
		if whole[all] {
			m.saw[path] += 0
			continue
		}
		m.starts[all]++
		m.saw[path]++
	}
}

// wanted says whether something that n of all starts used is in the start set.
func (m *merger) wanted(w Want, n, all int) bool {
	saw, parts := m.saw[w.Path]
	switch {
	case w.Dir:
		return 2*n > all
	case 2*m.starts[Want{Path: w.Path}] <= all:
		return false
	case w.Whole():
		return !parts
	}
	return 2*n > saw
}

func twiceMedian(r []int) int {
	slices.Sort(r)
	return r[(len(r)-1)/2] + r[len(r)/2]
}
