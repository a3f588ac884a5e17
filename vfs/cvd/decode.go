package cvd

import "github.com/looming-project/looming/vfs/chunk"

// Entry reads one entry. Its byte slices alias the node's bytes.
func (r *reader) entry(e *Entry) {
	e.Name = r.string()
	f := r.byte()
	e.Type = Type(f & typeBits)
	e.Sparse = f&isSparse != 0
	e.Mode, e.UID, e.GID = r.uint32(), r.uint32(), r.uint32()
	e.Mtime = Time{r.int(), r.uint32()}
	switch e.Type {
	case File:
		e.Size, e.Content = r.content()
	case Dir:
		e.Tree, e.Sums = r.id(), r.sums()
	case Symlink:
		e.Target = r.string()
	case CharDevice, BlockDevice:
		e.Major, e.Minor = r.uint32(), r.uint32()
	}
	if f&hasXattrs != 0 {
		e.Xattrs = r.xattrs()
	}
	if f&hasGroup != 0 {
		if e.Group = r.uint(); e.Group == 0 {
			r.fail("hard-link group 0")
		}
	}
	if f&hasWindows != 0 {
		e.Windows = r.windows()
	}
}

func (r *reader) content() (size uint64, c Content) {
	size = r.uint()
	f := r.byte()
	switch f {
	case formInline:
		if size > InlineMax {
			r.fail("inline content of %d bytes", size)
			return 0, c
		}
		c.Inline = r.raw(size)
	case formSingle:
		c.ID = r.id()
	case formChunks, formLists:
		c.ID, c.Listed = r.id(), f == formLists
		c.Chunks = r.refs(1 << 20)
	default:
		r.fail("content form %d", f)
	}
	if r.err == nil && form(size, &c) != f {
		r.fail("content form %d for %d bytes", f, size)
	}
	return size, c
}

func (r *reader) refs(most int) []Ref {
	n := r.count(len(chunk.ID{}) + 1)
	if n == 0 || n > most {
		r.fail("a list of %d chunks", n)
		return nil
	}
	refs := make([]Ref, n)
	for i := range refs {
		refs[i] = Ref{r.id(), r.uint()}
	}
	return refs
}

func (r *reader) sums() Sums { return Sums{r.uint(), r.uint(), r.uint()} }

func (r *reader) xattrs() []Xattr {
	n := r.count(2)
	if n == 0 {
		r.fail("no extended attributes")
		return nil
	}
	xs := make([]Xattr, n)
	for i := range xs {
		xs[i] = Xattr{r.string(), r.bytes()}
	}
	return xs
}

func (r *reader) windows() *Windows {
	x := &Windows{Attributes: r.uint32(), Created: r.uint(), Security: r.bytes(), Reparse: r.bytes(), ShortName: r.string()}
	x.Streams = make([]Stream, r.count(3))
	for i := range x.Streams {
		x.Streams[i].Name = r.string()
		x.Streams[i].Size, x.Streams[i].Content = r.content()
	}
	if len(x.Streams) == 0 {
		x.Streams = nil
	}
	return x
}
