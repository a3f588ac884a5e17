package prefetch

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Want is something that a start needs.
type Want struct {
	Path string
	// Span is the part of the file that is read; whole where it was not seen which, as for native files.
	Span
	// Dir says that it is a directory whose names are needed.
	Dir bool
}

func compareWants(a, b Want) int {
	return cmp.Or(strings.Compare(a.Path, b.Path), compareBools(a.Dir, b.Dir), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// Use is the first use of a file, of a part of it, or of a directory, after the start, to the millisecond.
type Use struct {
	Want
	After time.Duration
	Phase Phase
}

func compareUses(a, b []Use) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), slices.CompareFunc(a, b, func(a, b Use) int {
		return cmp.Or(compareWants(a.Want, b.Want), cmp.Compare(a.After, b.After), cmp.Compare(a.Phase, b.Phase))
	}))
}

// used tells first uses from later ones: those of whole things once, those of parts by what they add.
type used struct {
	whole map[Want]struct{}
	parts map[string]*spans
}

func newUsed() used {
	return used{map[Want]struct{}{}, map[string]*spans{}}
}

// first returns what of a want is new.
func (u used) first(w Want) []Want {
	if w.Whole() {
		if _, again := u.whole[w]; again {
			return nil
		}
		u.whole[w] = struct{}{}
		return []Want{w}
	}
	set := u.parts[w.Path]
	if set == nil {
		set = new(spans)
		u.parts[w.Path] = set
	}
	fresh := set.add(w.Span)
	wants := make([]Want, len(fresh))
	for i, s := range fresh {
		wants[i] = Want{Path: w.Path, Span: s}
	}
	return wants
}
