package cvd

import "github.com/looming-project/looming/vfs/chunk"

// Bits of an entry's flags byte, above the type in its low four bits.
const (
	hasXattrs  = 0x10
	hasGroup   = 0x20
	isSparse   = 0x40
	hasWindows = 0x80
	typeBits   = 0x0f
)

// Forms of a file's content.
const (
	formInline = iota
	formSingle
	formChunks
	formLists
)

// AppendEntry appends the encoding of e, which must be valid (see Check).
func AppendEntry(dst []byte, e *Entry) []byte {
	w := writer(dst)
	w.string(e.Name)
	w.byte(flags(e))
	w.uint(uint64(e.Mode))
	w.uint(uint64(e.UID))
	w.uint(uint64(e.GID))
	w.int(e.Mtime.Sec)
	w.uint(uint64(e.Mtime.Nsec))
	switch e.Type {
	case File:
		w.content(e.Size, &e.Content)
	case Dir:
		w.raw(e.Tree[:])
		w.sums(e.Sums)
	case Symlink:
		w.string(e.Target)
	case CharDevice, BlockDevice:
		w.uint(uint64(e.Major))
		w.uint(uint64(e.Minor))
	}
	if len(e.Xattrs) > 0 {
		w.xattrs(e.Xattrs)
	}
	if e.Group != 0 {
		w.uint(e.Group)
	}
	if e.Windows != nil {
		w.windows(e.Windows)
	}
	return w
}

func flags(e *Entry) byte {
	f := byte(e.Type)
	if len(e.Xattrs) > 0 {
		f |= hasXattrs
	}
	if e.Group != 0 {
		f |= hasGroup
	}
	if e.Sparse {
		f |= isSparse
	}
	if e.Windows != nil {
		f |= hasWindows
	}
	return f
}

func (w *writer) content(size uint64, c *Content) {
	w.uint(size)
	form := form(size, c)
	w.byte(form)
	switch form {
	case formInline:
		w.raw(c.Inline)
	case formSingle:
		w.raw(c.ID[:])
	default:
		w.raw(c.ID[:])
		w.refs(c.Chunks)
	}
}

func form(size uint64, c *Content) byte {
	switch {
	case size <= InlineMax:
		return formInline
	case len(c.Chunks) == 0:
		return formSingle
	case c.Listed:
		return formLists
	}
	return formChunks
}

func (w *writer) refs(refs []Ref) {
	w.uint(uint64(len(refs)))
	for _, r := range refs {
		w.raw(r.ID[:])
		w.uint(r.Size)
	}
}

func (w *writer) sums(s Sums) {
	w.uint(s.Files)
	w.uint(s.Dirs)
	w.uint(s.Bytes)
}

func (w *writer) xattrs(xs []Xattr) {
	w.uint(uint64(len(xs)))
	for _, x := range xs {
		w.string(x.Name)
		w.bytes(x.Value)
	}
}

func (w *writer) windows(x *Windows) {
	w.uint(uint64(x.Attributes))
	w.uint(x.Created)
	w.bytes(x.Security)
	w.bytes(x.Reparse)
	w.string(x.ShortName)
	w.uint(uint64(len(x.Streams)))
	for i := range x.Streams {
		w.string(x.Streams[i].Name)
		w.content(x.Streams[i].Size, &x.Streams[i].Content)
	}
}

// EncodeList encodes up to ListMax refs as the plain bytes of a list chunk.
func EncodeList(refs []Ref) []byte {
	w := writer(append([]byte{}, listMagic...))
	w.refs(refs)
	return w
}

// DecodeList reads what EncodeList wrote.
func DecodeList(plain []byte) ([]Ref, error) {
	r := reader{b: plain}
	if string(r.raw(uint64(len(listMagic)))) != listMagic {
		r.fail("not a list of chunks")
	}
	refs := r.refs(ListMax)
	for _, x := range refs {
		if x.Size == 0 || x.Size > chunk.MaxSize {
			r.fail("a chunk of %d bytes", x.Size)
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return refs, nil
}

// ListContent makes the content of a file of more than chunk.WholeMax bytes from its
// chunks; put keeps the list chunks of very long files.
func ListContent(id chunk.ID, refs []Ref, put func(plain []byte) (chunk.ID, error)) (Content, error) {
	c := Content{ID: id, Chunks: refs}
	if len(refs) <= InEntryMax {
		return c, nil
	}
	c.Listed, c.Chunks = true, nil
	for len(refs) > 0 {
		n := min(len(refs), ListMax)
		list, err := put(EncodeList(refs[:n]))
		if err != nil {
			return Content{}, err
		}
		c.Chunks = append(c.Chunks, Ref{list, total(refs[:n])})
		refs = refs[n:]
	}
	return c, nil
}

func total(refs []Ref) (n uint64) {
	for _, r := range refs {
		n += r.Size
	}
	return n
}

// EncodeContent encodes a file's size and content as an entry does.
func EncodeContent(size uint64, c *Content) []byte {
	var w writer
	w.content(size, c)
	return w
}

// DecodeContent reads what EncodeContent wrote.
func DecodeContent(b []byte) (uint64, Content, error) {
	r := reader{b: b}
	size, c := r.content()
	if r.err == nil {
		if err := c.check(size); err != nil {
			r.fail("%v", err)
		}
	}
	return size, c, r.end()
}
