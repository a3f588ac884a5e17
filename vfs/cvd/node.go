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
	// body is the length of the encoded entries or children.
	body int
}

// Child is one part of a split directory.
type Child struct {
	// First is the first name in it.
	First string
	ID    chunk.ID
	Sums  Sums
}

// DecodeNode reads a node of a directory and refuses what no Builder makes.
// Byte slices in it alias plain.
func DecodeNode(plain []byte) (*Node, error) {
	if len(plain) > chunk.MaxSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrFormat, len(plain))
	}
	r := reader{b: plain}
	n := &Node{}
	switch kind := r.head(); kind {
	case kindLeaf:
		r.leaf(n)
	case kindIndex:
		r.index(n)
	default:
		r.fail("kind %d", kind)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return n, nil
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
	plain := AppendEntry(append([]byte(nodeMagic), kindRoot), top)
	if n := len(plain) - len(nodeMagic) - 1; n > EntryMax {
		return nil, fmt.Errorf("%w: the top takes %d bytes, more than %d: too many extended attributes", ErrFormat, n, EntryMax)
	}
	return plain, nil
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
	before := len(r.b)
	r.entry(e)
	if n := before - len(r.b); n > EntryMax {
		r.fail("an entry of %d bytes", n)
	}
	if r.err == nil && (e.Name != "" || e.Type != Dir) {
		r.fail("the top of a desktop is a directory without a name")
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if err := e.checkTop(); err != nil {
		return nil, err
	}
	return e, nil
}
