package remote

import (
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/wire"
)

// Pack is the body of one upload in the making: frame records.
type Pack struct {
	buf  []byte
	recs []packed
}

// packed is one record's place in the buffer.
type packed struct {
	id       chunk.ID
	off, end int
}

// NewPack returns an empty Pack with room for size bytes.
func NewPack(size int) *Pack { return &Pack{buf: make([]byte, 0, size)} }

// Add appends a frame.
func (p *Pack) Add(id chunk.ID, frame []byte) {
	off := len(p.buf)
	p.buf = wire.AppendHead(p.buf, wire.FrameOK, id, len(frame))
	p.buf = append(p.buf, frame...)
	p.recs = append(p.recs, packed{id, off, len(p.buf)})
}

// Len is how many chunks are in it, Size how many bytes.
func (p *Pack) Len() int { return len(p.recs) }

// Size is the length of the body in bytes.
func (p *Pack) Size() int { return len(p.buf) }

// Free is how many bytes more fit without growing.
func (p *Pack) Free() int { return cap(p.buf) - len(p.buf) }

// IDs calls each with every chunk in it.
func (p *Pack) IDs(each func(chunk.ID)) {
	for i := range p.recs {
		each(p.recs[i].id)
	}
}

// Reset empties it and keeps its room.
func (p *Pack) Reset() { p.buf, p.recs = p.buf[:0], p.recs[:0] }

// keep drops the records whose place in keep is false.
func (p *Pack) keep(keep []bool) {
	buf, recs := p.buf[:0], p.recs[:0]
	for i, r := range p.recs {
		if !keep[i] {
			continue
		}
		off := len(buf)
		buf = append(buf, p.buf[r.off:r.end]...)
		recs = append(recs, packed{r.id, off, len(buf)})
	}
	p.buf, p.recs = buf, recs
}
