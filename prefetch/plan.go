package prefetch

import (
	"context"
	"io"
	"time"
)

// block is how many paths are looked up, and how many items are given, at a time.
const block = 512

// Plan is an order of work over a desktop: every file exactly once, as long as the tree stays as it is.
//
//  1. The start set, in its order.
//  2. What the tally knows: most expected waiting saved per byte first (known.go).
//  3. The rest, directory by directory; caches after other things, huge files last (rest.go).
//
// It is a pure function of what it is made from: equal trees, tallies, start sets and times give equal orders. It is
// worked out as it is asked for, and holds the paths of the start set and the tally, the directories on the way to where
// it stands, and at most maxHuge files and maxAside directories that were put off.
type Plan struct {
	tree  Tree
	known known
	rest  rest
	start []string // not looked up yet
	// given are the paths that the first two stages gave, which the rest leaves out.
	given map[string]struct{}
	// at is what Next last tried.
	at Stage
}

// NewPlan makes a plan. It keeps nothing of the tally but what it copies; start may come from Tally.StartSet.
func NewPlan(tree Tree, t *Tally, start []string, now time.Time) *Plan {
	p := &Plan{tree: tree, start: start, given: make(map[string]struct{}, len(start)+t.Len())}
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
	case len(p.start) > 0:
		p.at = StartSetStage
		return p.nextStart(ctx)
	case p.known.pending():
		p.at = KnownStage
		return p.nextKnown(ctx)
	case p.rest.pending():
		p.at = RestStage
		return p.rest.next(ctx, p.tree, p.given)
	}
	return nil, io.EOF
}

func (p *Plan) nextStart(ctx context.Context) ([]Item, error) {
	n := min(len(p.start), block)
	items, err := lookup(ctx, p.tree, p.start[:n])
	if err != nil {
		return nil, err
	}
	p.start = p.start[n:]
	return p.give(items), nil
}

func (p *Plan) nextKnown(ctx context.Context) ([]Item, error) {
	items, err := p.known.next(ctx, p.tree, p.given)
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
	return fresh
}

// Skip goes past what Next failed on. Paths that could not be looked up come again in the rest; a directory that could
// not be listed comes again at the end, and Skip says when it was tried often enough and is left out for good.
func (p *Plan) Skip() (lost bool) {
	switch p.at {
	case StartSetStage:
		p.start = p.start[min(len(p.start), block):]
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
