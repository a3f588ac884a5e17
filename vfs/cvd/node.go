package cvd

import (
	"fmt"

	"github.com/looming-project/looming/vfs/chunk"
)

// Magic numbers: three letters and the version of the format.
const (
	nodeMagic = "LMT\x01"
	listMagic = "LML\x01"
)

// Kinds of nodes.
const (
	kindLeaf = iota
	kindIndex
	kindRoot
)

// Node is a decoded tree node: entries, or, for a directory that was split, the
// children that hold them. A root node has one entry without a name: the
// directory that stands for the whole desktop, with its own attributes.
type Node struct {
	Entries  []Entry
	Children []Child
	// Level is the height of an index node over the leaves: 1 or more.
	Level int
}

// Child is one part of a split directory.
type Child struct {
	// First is the first name in it.
	First string
	ID    chunk.ID
	Sums  Sums
}

// DecodeNode reads a node of a directory. Byte slices in it alias plain.
func DecodeNode(plain []byte) (*Node, error) {
	r := reader{b: plain}
	kind := r.head()
	var n *Node
	switch kind {
	case kindLeaf:
		n = r.leaf()
	case kindIndex:
		n = r.index()
	default:
		r.fail("kind %d", kind)
	}
	return n, r.end()
}

func (r *reader) head() byte {
	if string(r.raw(uint64(len(nodeMagic)))) != nodeMagic {
		r.fail("no node of version 1")
	}
	return r.byte()
}

func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes after the end", len(r.b))
	}
	return r.err
}

func (r *reader) leaf() *Node {
	n := &Node{Entries: make([]Entry, r.count(8))}
	for i := range n.Entries {
		e := &n.Entries[i]
		r.entry(e)
		if r.err == nil {
			if err := e.Check(); err != nil {
				r.fail("%v", err)
			} else if i > 0 && e.Name <= n.Entries[i-1].Name {
				r.fail("entry %q out of order", e.Name)
			}
		}
		if r.err != nil {
			return n
		}
	}
	return n
}

func (r *reader) index() *Node {
	n := &Node{Level: int(r.byte())}
	n.Children = make([]Child, r.count(36))
	if n.Level == 0 || len(n.Children) < 1 {
		r.fail("an index of %d parts at level %d", len(n.Children), n.Level)
	}
	for i := range n.Children {
		c := &n.Children[i]
		*c = Child{r.string(), r.id(), r.sums()}
		if i > 0 && c.First <= n.Children[i-1].First {
			r.fail("part %q out of order", c.First)
		}
	}
	return n
}

// Root is the id of a tree that stands for a whole desktop or layer.
type Root chunk.ID

// String is the root in hexadecimal.
func (r Root) String() string { return chunk.ID(r).String() }

// IsZero says whether the root is unset.
func (r Root) IsZero() bool { return r == Root{} }

// MarshalText implements encoding.TextMarshaler.
func (r Root) MarshalText() ([]byte, error) { return chunk.ID(r).MarshalText() }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Root) UnmarshalText(b []byte) error { return (*chunk.ID)(r).UnmarshalText(b) }

// EncodeRoot encodes the root node over top, whose Name must be empty.
func EncodeRoot(top *Entry) ([]byte, error) {
	if top.Name != "" || top.Type != Dir {
		return nil, fmt.Errorf("%w: the top of a desktop is a directory without a name", ErrFormat)
	}
	if err := top.checkTop(); err != nil {
		return nil, err
	}
	return AppendEntry(append([]byte(nodeMagic), kindRoot), top), nil
}

func (e *Entry) checkTop() error {
	named := *e
	named.Name = "top"
	return named.Check()
}

// DecodeRoot reads what EncodeRoot wrote.
func DecodeRoot(plain []byte) (*Entry, error) {
	r := reader{b: plain}
	if kind := r.head(); r.err == nil && kind != kindRoot {
		r.fail("kind %d is not a root", kind)
	}
	e := &Entry{}
	r.entry(e)
	if r.err == nil && (e.Name != "" || e.Type != Dir) {
		r.fail("the top of a desktop is a directory without a name")
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return e, e.checkTop()
}
