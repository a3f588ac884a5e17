package main

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// smallMax is the largest inline limit that is tried.
const smallMax = 8 << 10

// shape is one way to make nodes.
type shape struct {
	inline, leafMin, leafMax, oneIn int
}

func shapes() []shape {
	var all []shape
	for _, inline := range []int{0, 256, 512, 1 << 10, 2 << 10, 4 << 10, smallMax} {
		all = append(all, shape{inline, 64 << 10, 256 << 10, 64})
	}
	for _, inline := range []int{512, 2 << 10} {
		for _, kib := range []int{16, 32, 128, 256} {
			all = append(all, shape{inline, kib << 10, kib << 12, 64})
		}
		all = append(all, shape{inline, 64 << 10, 256 << 10, 16})
	}
	return all
}

// noder stores trees in one shape.
type noder struct {
	shape
	key  string
	tree int
	x    *coder
	t    *table
	seen map[chunk.ID]bool
}

// nodes makes the trees in every shape. Beside the nodes it counts the chunks
// of the small files that are not inline.
func nodes(c *corpus, t *table) error {
	x := asStored()
	dirs := make([]*directory, len(c.trees))
	for i, path := range c.trees {
		var err error
		if dirs[i], err = readTree(c, path); err != nil {
			return err
		}
	}
	for _, s := range shapes() {
		key := fmt.Sprintf("inline %4d, %3d KiB and one in %d", s.inline, s.leafMin>>10, s.oneIn)
		n := &noder{shape: s, key: key, x: x, t: t, seen: map[chunk.ID]bool{}}
		for n.tree = range dirs {
			n.dir(dirs[n.tree])
		}
	}
	return nil
}

func (n *noder) put(what string, plain []byte) chunk.ID {
	id := chunk.Sum(plain)
	if !n.seen[id] {
		n.seen[id] = true
		for _, key := range []string{n.key, n.key + what} {
			n.t.at(key).add(n.tree, len(plain), n.x.size(id, plain))
		}
	}
	return id
}

// dir stores a directory, parts of it as they grow.
func (n *noder) dir(d *directory) (chunk.ID, cvd.Sums) {
	var body, index []byte
	var sums cvd.Sums
	end := func() chunk.ID {
		id := n.put(" nodes", body)
		index, body = append(index, id[:]...), body[:0]
		return id
	}
	for i := range d.items {
		it := &d.items[i]
		if it.dir != nil {
			it.entry.Tree, it.entry.Sums = n.dir(it.dir)
		}
		body = n.entry(body, it)
		sums.Add(&it.entry)
		name := chunk.Sum([]byte(it.entry.Name))
		if len(body) >= n.leafMin && (len(body) >= n.leafMax || int(name[0])%n.oneIn == 0) {
			end()
		}
	}
	if len(index) == 0 {
		return end(), sums
	}
	if len(body) > 0 {
		end()
	}
	return n.put(" nodes", index), sums
}

// entry encodes as FORMAT.md says, except that the inline limit is the shape's
// and that a file's content stands at its end.
func (n *noder) entry(body []byte, it *item) []byte {
	e := it.entry
	if e.Type != cvd.File || e.Size > smallMax {
		return cvd.AppendEntry(body, &e)
	}
	e.Type, e.Sparse = cvd.Fifo, false
	body = cvd.AppendEntry(body, &e)
	body = append(binary.AppendUvarint(body, e.Size), 0)
	if len(it.small) <= n.inline {
		return append(body, it.small...)
	}
	id := n.put(" files", it.small)
	return append(body, id[:]...)
}

// totals stores the trees as FORMAT.md says.
func totals(c *corpus, t *table) error {
	seen := map[chunk.ID]bool{}
	tree := 0
	put := func(what string, plain []byte) (chunk.ID, error) {
		id := chunk.Sum(plain)
		if !seen[id] {
			seen[id] = true
			from := cpu()
			frame := chunk.Encode(nil, plain)
			took := cpu() - from
			for _, key := range []string{what, "together"} {
				t.at(key).add(tree, len(plain), len(frame))
				t.at(key).seconds += took
			}
			if again, err := chunk.Decode(nil, frame, id); err != nil || !bytes.Equal(again, plain) {
				return id, fmt.Errorf("a frame does not give back chunk %s: %w", id, err)
			}
		}
		return id, nil
	}
	for i, path := range c.trees {
		tree = i
		d, err := readTree(c, path)
		if err != nil {
			return err
		}
		s := storer{put, c}
		if _, _, err := s.dir(d); err != nil {
			return err
		}
	}
	return nil
}
