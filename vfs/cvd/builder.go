package cvd

import (
	"fmt"

	"github.com/looming-project/looming/vfs/chunk"
)

// Sizes of nodes in bytes: a directory is cut after an entry once its part has
// leafMin bytes and the entry's name says so (one in cutOneIn), or has leafMax.
const (
	leafMin  = 64 << 10
	leafMax  = 256 << 10
	cutOneIn = 64
	// levelMax is far above any directory: each level is a thousand times the one below.
	levelMax = 31
)

// cutAfter says whether a part at level n ends after the entry with that name, where its entries
// so far take body bytes.
func cutAfter(body, n int, name string) bool {
	return body >= leafMax || body >= leafMin && chunk.Sum([]byte(name))[n]%cutOneIn == 0
}

// Builder makes the nodes of one directory from its entries. Memory is bounded
// by the size of a node and the number of parts, not of entries.
type Builder struct {
	put    func(plain []byte) (chunk.ID, error)
	levels []level
	last   string
	any    bool
}

type level struct {
	body  []byte
	count int
	first string
	sums  Sums
	parts int
}

// NewBuilder returns a Builder that hands every finished node to put.
func NewBuilder(put func(plain []byte) (chunk.ID, error)) *Builder {
	return &Builder{put: put, levels: make([]level, 1)}
}

// Add takes the next entry. Entries come sorted by name, byte by byte. An entry that is
// refused with ErrFormat is left out; after any other error the Builder is of no more use.
func (b *Builder) Add(e *Entry) error {
	if err := e.Check(); err != nil {
		return err
	}
	if b.any && e.Name <= b.last {
		return fmt.Errorf("%w: entry %q after %q", ErrFormat, e.Name, b.last)
	}
	l := &b.levels[0]
	before := len(l.body)
	l.body = AppendEntry(l.body, e)
	if n := len(l.body) - before; n > EntryMax {
		l.body = l.body[:before]
		return fmt.Errorf("%w: entry %q takes %d bytes, more than %d: too many extended attributes", ErrFormat, e.Name, n, EntryMax)
	}
	b.last, b.any = e.Name, true
	l.add(e.Name)
	l.sums.Add(e)
	return b.cut(0, e.Name)
}

func (l *level) add(first string) {
	if l.count == 0 {
		l.first = first
	}
	l.count++
}

// cut ends the part at level n if the rule says so after name.
func (b *Builder) cut(n int, name string) error {
	l := &b.levels[n]
	if !cutAfter(len(l.body), n, name) {
		return nil
	}
	_, err := b.flush(n)
	return err
}

// flush emits the part at level n and enters it one level up.
func (b *Builder) flush(n int) (chunk.ID, error) {
	l := &b.levels[n]
	id, err := b.put(l.encode(n))
	if err != nil {
		return id, err
	}
	if n+1 == len(b.levels) {
		b.levels = append(b.levels, level{})
		l = &b.levels[n]
	}
	up := &b.levels[n+1]
	w := writer(up.body)
	w.string(l.first)
	w.raw(id[:])
	w.sums(l.sums)
	up.body = w
	up.add(l.first)
	up.sums.Plus(l.sums)
	first := l.first
	*l = level{body: l.body[:0], parts: l.parts + 1}
	return id, b.cut(n+1, first)
}

func (l *level) encode(n int) []byte {
	w := writer(make([]byte, 0, len(l.body)+16))
	w.raw([]byte(nodeMagic))
	if n == 0 {
		w.byte(kindLeaf)
	} else {
		w.byte(kindIndex)
		w.byte(byte(n))
	}
	w.uint(uint64(l.count))
	w.raw(l.body)
	return w
}

// Finish returns the directory's node and what it holds.
func (b *Builder) Finish() (chunk.ID, Sums, error) {
	for n := 0; ; n++ {
		l := &b.levels[n]
		if n+1 == len(b.levels) {
			if n > 0 && l.count == 1 && l.parts == 0 {
				return b.only(l)
			}
			sums := l.sums
			id, err := b.put(l.encode(n))
			return id, sums, err
		}
		if l.count > 0 {
			if _, err := b.flush(n); err != nil {
				return chunk.ID{}, Sums{}, err
			}
		}
	}
}

// only returns the single part of an index: the part itself is the directory.
func (b *Builder) only(l *level) (chunk.ID, Sums, error) {
	r := reader{b: l.body}
	r.string()
	return r.id(), l.sums, r.err
}
