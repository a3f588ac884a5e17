package scan

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// A payload is what cannot be read off a stat: flags; the size and content (length and
// cvd.EncodeContent) of a file, and where it has list chunks the refs that they hold (count, then id and
// size each); the target of a symlink; the hard-link group; extended attributes.
const (
	payloadSparse = 1 << iota
	payloadGroup
	payloadXattrs
	payloadRefs
)

// facts is what a job finds out about an entry, or a payload remembers.
type facts struct {
	size    uint64
	content cvd.Content
	sparse  bool
	target  string
	group   uint64
	xattrs  []cvd.Xattr
	// refs are all chunks of a file that has list chunks.
	refs []cvd.Ref
	// loose: the stat does not vouch for the rest, so the next scan looks again. It is no part of the payload.
	loose bool
}

// fill puts the facts into an entry made from a stat.
func (f *facts) fill(e *cvd.Entry) {
	e.Xattrs, e.Group = f.xattrs, f.group
	switch e.Type {
	case cvd.File:
		e.Size, e.Content, e.Sparse = f.size, f.content, f.sparse
	case cvd.Symlink:
		e.Target = f.target
	}
}

func (f *facts) flags() (flags byte) {
	if f.sparse {
		flags |= payloadSparse
	}
	if f.group != 0 {
		flags |= payloadGroup
	}
	if len(f.xattrs) > 0 {
		flags |= payloadXattrs
	}
	if f.content.Listed {
		flags |= payloadRefs
	}
	return flags
}

func (f *facts) append(b []byte, t cvd.Type) []byte {
	flags := f.flags()
	b = append(b, flags)
	switch t {
	case cvd.File:
		b = appendBytes(b, cvd.EncodeContent(f.size, &f.content))
		if f.content.Listed {
			b = appendRefs(b, f.refs)
		}
	case cvd.Symlink:
		b = appendBytes(b, []byte(f.target))
	}
	if f.group != 0 {
		b = binary.LittleEndian.AppendUint64(b, f.group)
	}
	if len(f.xattrs) > 0 {
		b = binary.AppendUvarint(b, uint64(len(f.xattrs)))
		for _, x := range f.xattrs {
			b = appendBytes(b, []byte(x.Name))
			b = appendBytes(b, x.Value)
		}
	}
	return b
}

func appendBytes(b, v []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func appendRefs(b []byte, refs []cvd.Ref) []byte {
	b = binary.AppendUvarint(b, uint64(len(refs)))
	for _, r := range refs {
		b = append(b, r.ID[:]...)
		b = binary.AppendUvarint(b, r.Size)
	}
	return b
}

// groupOf reads the hard-link group without decoding the rest; ok is false if the payload is damaged.
func groupOf(payload []byte, t cvd.Type) (group uint64, ok bool) {
	p := parser{b: payload}
	flags := p.byte()
	if flags&payloadGroup == 0 {
		return 0, p.ok()
	}
	p.body(t, flags, nil)
	if g := p.take(8); g != nil {
		group = binary.LittleEndian.Uint64(g)
	}
	return group, p.ok()
}

// decodeFacts reads a payload. What it returns aliases b.
func decodeFacts(b []byte, t cvd.Type) (*facts, error) {
	p, f := parser{b: b}, &facts{}
	flags := p.byte()
	f.sparse = flags&payloadSparse != 0
	p.body(t, flags, f)
	if flags&payloadGroup != 0 {
		if g := p.take(8); g != nil {
			f.group = binary.LittleEndian.Uint64(g)
		}
	}
	if flags&payloadXattrs != 0 {
		f.xattrs = make([]cvd.Xattr, p.count(2))
		for i := range f.xattrs {
			f.xattrs[i] = cvd.Xattr{Name: string(p.bytes()), Value: p.bytes()}
		}
	}
	if !p.ok() || len(p.b) > 0 {
		return nil, fmt.Errorf("%w: a damaged payload", errCache)
	}
	return f, nil
}

// parser takes primitives off a record.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) ok() bool { return !p.bad }

func (p *parser) take(n uint64) []byte {
	if n > uint64(len(p.b)) {
		p.bad, p.b = true, nil
		return nil
	}
	v := p.b[:n:n]
	p.b = p.b[n:]
	return v
}

func (p *parser) byte() byte {
	if v := p.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (p *parser) uint() uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.bad, p.b = true, nil
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) bytes() []byte { return p.take(p.uint()) }

func (p *parser) id() (id chunk.ID) {
	copy(id[:], p.take(uint64(len(id))))
	return id
}

func (p *parser) sums() cvd.Sums { return cvd.Sums{Files: p.uint(), Dirs: p.uint(), Bytes: p.uint()} }

// count reads how many things of at least size bytes follow.
func (p *parser) count(size int) uint64 {
	n := p.uint()
	if n > uint64(len(p.b)/size) {
		p.bad, p.b = true, nil
		return 0
	}
	return n
}

// text is the next string, aliasing the block.
func (p *parser) text() string {
	b := p.bytes()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// body reads what depends on the type; f may be nil.
func (p *parser) body(t cvd.Type, flags byte, f *facts) {
	var content, target []byte
	var refs []cvd.Ref
	switch t {
	case cvd.File:
		content = p.bytes()
		if flags&payloadRefs != 0 {
			refs = make([]cvd.Ref, p.count(33))
			for i := range refs {
				refs[i] = cvd.Ref{ID: p.id(), Size: p.uint()}
			}
		}
	case cvd.Symlink:
		target = p.bytes()
	}
	if f == nil || p.bad {
		return
	}
	f.target, f.refs = string(target), refs
	if t == cvd.File {
		var err error
		if f.size, f.content, err = cvd.DecodeContent(content); err != nil {
			p.bad = true
		}
	}
}
