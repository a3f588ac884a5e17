package cvd

import (
	"context"
	"fmt"

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
// order. The entry is fn's to keep.
func ReadDir(ctx context.Context, src chunk.Source, tree chunk.ID, fn func(*Entry) error) error {
	plain, err := chunk.Get(ctx, src, tree)
	if err != nil {
		return fmt.Errorf("tree %s: %w", tree, err)
	}
	node, err := DecodeNode(plain)
	if err != nil {
		return fmt.Errorf("tree %s: %w", tree, err)
	}
	for i := range node.Entries {
		if err := fn(&node.Entries[i]); err != nil {
			return err
		}
	}
	for _, c := range node.Children {
		if err := ReadDir(ctx, src, c.ID, fn); err != nil {
			return err
		}
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
	var all []Ref
	for _, l := range c.Chunks {
		plain, err := chunk.Get(ctx, src, l.ID)
		if err != nil {
			return nil, fmt.Errorf("list of chunks %s: %w", l.ID, err)
		}
		refs, err := DecodeList(plain)
		if err != nil {
			return nil, fmt.Errorf("list of chunks %s: %w", l.ID, err)
		}
		if total(refs) != l.Size {
			return nil, fmt.Errorf("%w: list of chunks %s does not add up", ErrFormat, l.ID)
		}
		all = append(all, refs...)
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
