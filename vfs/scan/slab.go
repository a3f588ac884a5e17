package scan

import (
	"github.com/looming-project/looming/vfs/chunk"
)

// Sizes of slabs.
const (
	// slabSize is the largest file that is read once and kept; larger ones are read twice.
	slabSize = 1 << 20
	// spareSlabs are for tree nodes, and for parts of large files on their way to another worker.
	spareSlabs = 6
)

// slab is a run of bytes with the chunks in it: what is asked about in one request.
type slab struct {
	buf    []byte
	pieces []piece
}

// scratch is a worker's room for bringing slabs.
type scratch struct {
	ids   []chunk.ID
	frame []byte
}

// piece is a chunk in a slab.
type piece struct {
	id       chunk.ID
	off, len int
}

// slabSlack is for list chunks of the files in a slab.
const slabSlack = 64 << 10

// fill makes sure that the slab has its buffer.
func (sl *slab) fill() {
	if sl.buf == nil {
		sl.buf = make([]byte, 0, slabSize+slabSlack)
	}
}

// room is how much of files fits.
func (sl *slab) room() int { return slabSize - len(sl.buf) }

func (sl *slab) plain(p *piece) []byte { return sl.buf[p.off : p.off+p.len] }

// add copies a chunk into the slab, which must have room.
func (sl *slab) add(plain []byte) chunk.ID {
	sl.fill()
	id := chunk.Sum(plain)
	sl.pieces = append(sl.pieces, piece{id, len(sl.buf), len(plain)})
	sl.buf = append(sl.buf, plain...)
	return id
}

// mark makes bytes that are in the slab already a piece.
func (sl *slab) mark(id chunk.ID, off, n int) { sl.pieces = append(sl.pieces, piece{id, off, n}) }

// find returns the bytes of a chunk.
func (sl *slab) find(id chunk.ID) []byte {
	for i := range sl.pieces {
		if sl.pieces[i].id == id {
			return sl.plain(&sl.pieces[i])
		}
	}
	return nil
}

func (sl *slab) reset() { sl.buf, sl.pieces = sl.buf[:0], sl.pieces[:0] }
