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
// The chance takes uses as a Poisson process: a decayed count of s means s ln 2 / HalfLife uses in a day to come.
const (
	// roundTrip is what a link of 20 Mbit/s and 50 ms passes while a demand waits for its answer.
	roundTrip = 128 << 10
	// overhead is what a file costs besides its bytes: a name, a request's share, a write to disk.
	overhead = 4 << 10
	day      = 24 * time.Hour
)

// hugeSize is from where a file waits until smaller ones are here, unless it is known to be used.
const hugeSize = 8 << 20

// known orders the files of a tally: first they are looked up, for their size, then given.
type known struct {
	unsized []Usage // ordered by path, so that lookups are of neighbours
	ranked  []ranked
	sorted  bool
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
	slices.SortFunc(k.unsized, func(a, b Usage) int { return strings.Compare(a.Path, b.Path) })
}

func (k *known) pending() bool { return len(k.unsized)+len(k.ranked) > 0 }

func (k *known) skip() { k.unsized = k.unsized[min(len(k.unsized), block):] }

// size looks up what is left to look up, and ranks it.
func (k *known) size(ctx context.Context, tree Tree, given map[string]struct{}) error {
	for len(k.unsized) > 0 {
		some := k.unsized[:min(len(k.unsized), block)]
		if err := k.rank(ctx, tree, some, given); err != nil {
			return err
		}
		k.unsized = k.unsized[len(some):]
	}
	if !k.sorted {
		k.unsized, k.sorted = nil, true
		slices.SortFunc(k.ranked, func(a, b ranked) int {
			return cmp.Or(cmp.Compare(b.worth, a.worth), strings.Compare(a.item.Path, b.item.Path))
		})
	}
	return nil
}

func (k *known) rank(ctx context.Context, tree Tree, some []Usage, given map[string]struct{}) error {
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
			k.ranked = append(k.ranked, ranked{it, worth(u, it.Size)})
		}
	}
	return nil
}

func worth(u Usage, size uint64) float64 {
	read := size // all of it, where reads were not seen
	if u.PerUse > 0 {
		read = min(read, u.PerUse)
	}
	chance := 1 - math.Exp(-u.Score*math.Ln2*float64(day)/float64(HalfLife))
	return chance * float64(roundTrip+read) / float64(overhead+size)
}

func (k *known) next() []Item {
	n := min(len(k.ranked), block)
	items := make([]Item, n)
	for i, r := range k.ranked[:n] {
		items[i] = r.item
	}
	if k.ranked = k.ranked[n:]; len(k.ranked) == 0 {
		k.ranked = nil
	}
	return items
}
