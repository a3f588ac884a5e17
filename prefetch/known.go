package prefetch

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"
)

// What a file is worth is the waiting that having it saves within a day, for each byte that it costs:
//
//	chance of a use x (bytes the link passes in a round trip + bytes read in a use) / (overhead + size)
//
// Of a file whose parts the start set had, only what is left counts. Directories cost nothing but their names, and come
// with what is looked up. The chance takes uses as a Poisson process: a decayed count of s means s ln 2 / HalfLife uses in a day to come.
const (
	// roundTrip is what a link of 20 Mbit/s and 50 ms passes while a demand waits for its answer.
	roundTrip = 128 << 10
	// overhead is what a file costs besides its bytes: a name, a request's share, a write to disk.
	overhead = 4 << 10
	day      = 24 * time.Hour
)

// hugeSize is from where a file waits until smaller ones are here, unless it is known to be used.
const hugeSize = 8 << 20

// group is how many paths are looked up before some of them are given: the most used ones first, so that the work begins
// before everything is looked up.
const group = 8 * block

// middling is the size of a file as it is expected of one that was not looked up yet.
const middling = 16 << 10

// known orders the files of a tally: they are looked up for their size, group by group, then given.
type known struct {
	unsized []Usage  // the most used first; within a group by path, so that lookups are of neighbours
	inGroup int      // how many at the front of unsized belong to the group being looked up
	ranked  []ranked // the most worth first, once a group is done
}

type ranked struct {
	item  Item
	worth float64
}

func (k *known) expect(t *Tally, now time.Time) {
	k.unsized = make([]Usage, 0, t.Len())
	for u := range t.All(now) {
		k.unsized = append(k.unsized, u)
	}
	slices.SortFunc(k.unsized, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Path, b.Path))
	})
	for some := range slices.Chunk(k.unsized, group) {
		slices.SortFunc(some, func(a, b Usage) int { return strings.Compare(a.Path, b.Path) })
	}
}

func (k *known) pending() bool { return len(k.unsized)+len(k.ranked) > 0 }

// next returns the items that are worth more than what was not looked up yet, or nil where it only looked up.
func (k *known) next(ctx context.Context, tree Tree, given map[string]struct{}, parts map[string]uint64) ([]Item, error) {
	if k.inGroup == 0 {
		if items := k.above(k.bar()); len(items) > 0 || len(k.unsized) == 0 {
			return items, nil
		}
		k.inGroup = min(len(k.unsized), group)
	}
	some := k.unsized[:min(k.inGroup, block)]
	if err := k.rank(ctx, tree, some, given, parts); err != nil {
		return nil, err
	}
	k.pass(len(some))
	return nil, nil
}

// skip leaves the paths that could not be looked up to the rest.
func (k *known) skip() { k.pass(min(k.inGroup, block)) }

func (k *known) pass(n int) {
	k.unsized = k.unsized[n:]
	if k.inGroup -= n; k.inGroup > 0 {
		return
	}
	slices.SortFunc(k.ranked, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.worth, a.worth), strings.Compare(a.item.Path, b.item.Path))
	})
}

// bar is what the best file of the next group may well be worth.
func (k *known) bar() float64 {
	best := Usage{}
	for _, u := range k.unsized[:min(len(k.unsized), group)] {
		best.Score = max(best.Score, u.Score)
	}
	return worth(best, middling)
}

// above takes the first items that are worth at least bar.
func (k *known) above(bar float64) []Item {
	n := 0
	for n < min(len(k.ranked), block) && k.ranked[n].worth >= bar {
		n++
	}
	items := make([]Item, n)
	for i, r := range k.ranked[:n] {
		items[i] = r.item
	}
	k.ranked = k.ranked[n:]
	return items
}

// rank looks up some paths.
func (k *known) rank(ctx context.Context, tree Tree, some []Usage, given map[string]struct{}, parts map[string]uint64) error {
	usage := make(map[string]Usage, len(some))
	paths := make([]string, 0, len(some))
	for _, u := range some {
		if _, had := given[u.Path]; !had {
			usage[u.Path] = u
			paths = append(paths, u.Path)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	items, err := lookup(ctx, tree, paths)
	if err != nil {
		return err
	}
	for _, it := range items {
		// A huge file that is used less than once in a half-life waits with the other huge ones.
		if u := usage[it.Path]; it.Size < hugeSize || u.Score >= 1 {
			k.ranked = append(k.ranked, ranked{it, worthLeft(u, it.Size, parts[it.Path])})
		}
	}
	return nil
}

// worthLeft is what a file is worth of which some bytes are here: those that are read.
func worthLeft(u Usage, size, here uint64) float64 {
	here = min(here, size)
	if u.PerUse > 0 && here > 0 {
		u.PerUse = max(u.PerUse-min(here, u.PerUse), 1)
	}
	return worth(u, size-here)
}

func worth(u Usage, size uint64) float64 {
	read := size // all of it, where reads were not seen
	if u.PerUse > 0 {
		read = min(read, u.PerUse)
	}
	chance := 1 - math.Exp(-u.Score*math.Ln2*float64(day)/float64(HalfLife))
	return chance * float64(roundTrip+read) / float64(overhead+size)
}
