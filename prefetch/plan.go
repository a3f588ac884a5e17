package prefetch

import (
	"context"
	"io"
	"time"
)

// block is how many paths are looked up, and how many items are given, at a time; startBlock is that for the start set:
// content flows after as many round trips as directories lie on the way to what is used first, what lies on the way to the
// rest comes beside it, and the plan is never far ahead of whom it follows.
const (
	block      = 512
	startBlock = 32
)

// Plan is an order of work over a desktop: every file exactly once, as long as the tree stays as it is.
//
//  1. The start set, in its order, or in that of whoever uses it (follow.go): directories are listed, files are brought,
//     large ones in the parts that are needed.
//  2. What the tally knows: most expected waiting saved per byte first (known.go).
//  3. The rest, directory by directory; caches after other things, huge files last (rest.go).
//
// It is a pure function of what it is made from and told: equal trees, tallies, start sets, times and uses give equal orders.
// It is worked out as it is asked for, and holds the paths of the start set and the tally, the directories on the way to
// where it stands, and at most maxHuge files and maxAside directories that were put off.
type Plan struct {
	tree  Tree
	known known
	rest  rest
	start *follower
	asked []int // what of the start set is being looked up
	// given are the paths that the first two stages gave whole, which the rest leaves out.
	given map[string]struct{}
	// parts are how many bytes were given of others.
	parts map[string]uint64
	// at is what Next last tried.
	at Stage
}

// NewPlan makes a plan. It keeps nothing of the tally but what it copies; start may come from Tally.StartSet.
func NewPlan(tree Tree, t *Tally, start []Want, now time.Time) *Plan {
	p := &Plan{tree: tree, start: newFollower(start), given: make(map[string]struct{}, len(start)+t.Len()), parts: map[string]uint64{}}
	p.known.expect(t, now)
	p.rest.push("", "", 0)
	return p
}

// Next returns the next items, and io.EOF after the last. After another error, which is a *PlanError, the plan stands
// where it stood: Next tries again, Skip goes past.
func (p *Plan) Next(ctx context.Context) (Work, error) {
	for {
		items, err := p.step(ctx)
		if err != nil || len(items) > 0 {
			return Work{p.at, items}, err
		}
	}
}

func (p *Plan) step(ctx context.Context) ([]Item, error) {
	switch {
	case p.start.pending():
		p.at = StartSetStage
		return p.nextStart(ctx)
	case p.known.pending():
		p.at = KnownStage
		return p.nextKnown(ctx)
	case p.rest.pending():
		p.at = RestStage
		items, err := p.rest.next(ctx, p.tree, p.given)
		return p.less(items), err
	}
	return nil, io.EOF
}

func (p *Plan) nextStart(ctx context.Context) ([]Item, error) {
	p.asked = p.start.next(startBlock)
	paths := make([]string, len(p.asked))
	for i, at := range p.asked {
		paths[i] = p.start.wants[at].Path
	}
	found, err := p.tree.Lookup(ctx, paths)
	if err != nil {
		return nil, &PlanError{"look up", paths[0], err}
	}
	p.start.pass(p.asked)
	items := make([]Item, 0, len(found))
	for i, it := range found {
		if it.Path == "" || it.Dir {
			continue
		}
		span := p.start.wants[p.asked[i]].Span
		if part(&it, span) {
			p.parts[it.Path] += it.bytes()
			items = append(items, it)
		} else if span.From < max(it.Size, 1) {
			items = append(items, p.give([]Item{it})...)
		}
	}
	return items, nil
}

// part makes an item one for a part of its file, unless the file is small, has become shorter, or is here.
func part(it *Item, s Span) bool {
	if s.Whole() || it.Native || it.Size <= smallest || s.From >= it.Size || s.From == 0 && s.To >= it.Size {
		return false
	}
	it.Span = s
	return true
}

// smallest is up to which size a file has one chunk, which comes whole.
const smallest = 128 << 10

// Used says that somebody uses a path now, from any goroutine: the start set is followed from there on.
func (p *Plan) Used(path string) { p.start.used(path) }

func (p *Plan) nextKnown(ctx context.Context) ([]Item, error) {
	items, err := p.known.next(ctx, p.tree, p.given, p.parts)
	return p.give(items), err
}

// give marks items as given and leaves out those that were.
func (p *Plan) give(items []Item) []Item {
	fresh := items[:0]
	for _, it := range items {
		if _, twice := p.given[it.Path]; !twice {
			p.given[it.Path] = struct{}{}
			fresh = append(fresh, it)
		}
	}
	return p.less(fresh)
}

// less notes of which items parts were given before.
func (p *Plan) less(items []Item) []Item {
	for i := range items {
		items[i].had = p.parts[items[i].Path]
	}
	return items
}

// Skip goes past what Next failed on. Paths that could not be looked up come again in the rest; a directory that could
// not be listed comes again at the end, and Skip says when it was tried often enough and is left out for good.
func (p *Plan) Skip() (lost bool) {
	switch p.at {
	case StartSetStage:
		p.start.pass(p.asked)
	case KnownStage:
		p.known.skip()
	case RestStage:
		return p.rest.skip()
	}
	return false
}

// lookup asks the tree for files.
func lookup(ctx context.Context, tree Tree, paths []string) ([]Item, error) {
	items, err := tree.Lookup(ctx, paths)
	if err != nil {
		return nil, &PlanError{"look up", paths[0], err}
	}
	files := make([]Item, 0, len(items))
	for _, it := range items {
		if it.Path != "" && !it.Dir {
			files = append(files, it)
		}
	}
	return files, nil
}
