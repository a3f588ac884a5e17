package cvd

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/looming-project/looming/vfs/chunk"
)

// ReadRoot fetches the top directory of a desktop.
func ReadRoot(ctx context.Context, src chunk.Source, root Root) (*Entry, error) {
	plain, err := chunk.Get(ctx, src, chunk.ID(root))
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", root, err)
	}
	return DecodeRoot(plain)
}

// ReadDir calls fn for every entry of the directory whose node is tree, in
// order. The entry is fn's to keep. A split directory whose parts do not fit
// together is an ErrFormat, after fn has seen what came before.
func ReadDir(ctx context.Context, src chunk.Source, tree chunk.ID, fn func(*Entry) error) error {
	node, err := ReadNode(ctx, src, tree)
	if err != nil {
		return err
	}
	return node.Each(ctx, src, fn)
}

// Each is ReadDir for a directory whose node n is here already: it reads the
// parts of a split one from src. It is for whole directories; a part of one, which
// Children names, is not.
func (n *Node) Each(ctx context.Context, src chunk.Source, fn func(*Entry) error) error {
	if err := n.whole(); err != nil {
		return err
	}
	return n.walk(ctx, src, fn, true)
}

// whole refuses what is no node of a whole directory.
func (n *Node) whole() error {
	if n.Level > 0 && len(n.Children) == 1 {
		return fmt.Errorf("%w: an index of one part", ErrFormat)
	}
	return nil
}

// Find returns a directory's entry by its name, nil if there is none. Nodes are
// read by get: of a directory that is split, those on the way. The entry is not
// to be changed.
func Find(ctx context.Context, get func(context.Context, chunk.ID) (*Node, error), tree chunk.ID, name string) (*Entry, error) {
	n, err := get(ctx, tree)
	if err == nil {
		err = n.whole()
	}
	for last := true; err == nil && len(n.Children) > 0; {
		i := sort.Search(len(n.Children), func(i int) bool { return n.Children[i].First > name }) - 1
		if i < 0 {
			return nil, nil
		}
		c := &n.Children[i]
		last = last && i == len(n.Children)-1
		var part *Node
		if part, err = get(ctx, c.ID); err == nil {
			err = c.fits(part, n.Level-1, last)
		}
		n = part
	}
	if err != nil {
		return nil, err
	}
	i, found := slices.BinarySearchFunc(n.Entries, name, func(e Entry, name string) int { return strings.Compare(e.Name, name) })
	if !found {
		return nil, nil
	}
	return &n.Entries[i], nil
}

// ReadNode fetches a node of a directory.
func ReadNode(ctx context.Context, src chunk.Source, tree chunk.ID) (*Node, error) {
	plain, err := chunk.Get(ctx, src, tree)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", tree, err)
	}
	node, err := DecodeNode(plain)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", tree, err)
	}
	return node, nil
}

// partsAtOnce is how many parts of a split directory are fetched together, and
// so how many are in memory.
const partsAtOnce = 16

// walk calls fn for the entries below n. last says that n ends its level.
func (n *Node) walk(ctx context.Context, src chunk.Source, fn func(*Entry) error, last bool) error {
	for i := range n.Entries {
		if err := fn(&n.Entries[i]); err != nil {
			return err
		}
	}
	for at := 0; at < len(n.Children); at += partsAtOnce {
		parts, err := n.parts(ctx, src, at)
		if err != nil {
			return err
		}
		for i, part := range parts {
			last := last && at+i == len(n.Children)-1
			if err := n.Children[at+i].fits(part, n.Level-1, last); err != nil {
				return err
			}
			if err := part.walk(ctx, src, fn, last); err != nil {
				return err
			}
		}
	}
	return nil
}

// parts fetches n's children from the one at index at on.
func (n *Node) parts(ctx context.Context, src chunk.Source, at int) ([]*Node, error) {
	ids := make([]chunk.ID, min(partsAtOnce, len(n.Children)-at))
	for i := range ids {
		ids[i] = n.Children[at+i].ID
	}
	parts := make([]*Node, len(ids))
	err := src.Fetch(ctx, ids, func(i int, plain []byte, err error) error {
		if err == nil {
			parts[i], err = DecodeNode(bytes.Clone(plain))
		}
		if err != nil {
			return fmt.Errorf("tree %s: %w", ids[i], err)
		}
		return nil
	})
	return parts, err
}

// fits checks that part is what c, one level above, says of it.
func (c *Child) fits(part *Node, level int, last bool) error {
	if part.Level != level || part.first() != c.First || part.sums() != c.Sums || !last && !part.full() {
		return fmt.Errorf("%w: tree %s is not the part %q of a directory", ErrFormat, c.ID, c.First)
	}
	return nil
}

// ChunksOf returns the chunks of a file's bytes in order, reading its list chunks from src.
// An inline file has none.
func ChunksOf(ctx context.Context, src chunk.Source, size uint64, c *Content) ([]Ref, error) {
	switch {
	case size <= InlineMax:
		return nil, nil
	case len(c.Chunks) == 0:
		return []Ref{{c.ID, size}}, nil
	case !c.Listed:
		return c.Chunks, nil
	}
	return readLists(ctx, src, c.Chunks)
}

// readLists reads the chunks that lists name. All lists but the last are full,
// and there are more chunks than an entry names itself: a file has one form.
func readLists(ctx context.Context, src chunk.Source, lists []Ref) ([]Ref, error) {
	var all []Ref
	for i, l := range lists {
		plain, err := chunk.Get(ctx, src, l.ID)
		if err != nil {
			return nil, fmt.Errorf("list of chunks %s: %w", l.ID, err)
		}
		refs, err := DecodeList(plain)
		if err != nil {
			return nil, fmt.Errorf("list of chunks %s: %w", l.ID, err)
		}
		if total(refs) != l.Size || i < len(lists)-1 && len(refs) != ListMax {
			return nil, fmt.Errorf("%w: list of chunks %s does not add up", ErrFormat, l.ID)
		}
		all = append(all, refs...)
	}
	if len(all) <= InEntryMax {
		return nil, fmt.Errorf("%w: a list of %d chunks outside the entry", ErrFormat, len(all))
	}
	return all, nil
}

// Refs calls node for every tree node, list for every list chunk, and data for
// every chunk of bytes that n names itself: what a walk must follow and keep.
func (n *Node) Refs(node func(id chunk.ID), list, data func(Ref)) {
	for i := range n.Children {
		node(n.Children[i].ID)
	}
	for i := range n.Entries {
		n.Entries[i].refs(node, list, data)
	}
}

func (e *Entry) refs(node func(chunk.ID), list, data func(Ref)) {
	if e.Type == Dir {
		node(e.Tree)
	}
	e.Content.refs(e.Size, list, data)
	if e.Windows != nil {
		for i := range e.Windows.Streams {
			e.Windows.Streams[i].Content.refs(e.Windows.Streams[i].Size, list, data)
		}
	}
}

func (c *Content) refs(size uint64, list, data func(Ref)) {
	switch {
	case size <= InlineMax:
	case len(c.Chunks) == 0:
		data(Ref{c.ID, size})
	default:
		to := data
		if c.Listed {
			to = list
		}
		for _, r := range c.Chunks {
			to(r)
		}
	}
}
