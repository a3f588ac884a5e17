package cvd

import (
	"fmt"
	"math"
	"strings"

	"github.com/looming-project/looming/vfs/chunk"
)

// Check says what makes an entry unfit for a node, if anything does.
func (e *Entry) Check() error {
	for _, err := range []error{
		checkName(e.Name), e.checkAttributes(), e.checkType(), e.checkXattrs(), e.checkWindows(),
	} {
		if err != nil {
			return fmt.Errorf("%w: entry %q: %w", ErrFormat, e.Name, err)
		}
	}
	return nil
}

func checkName(name string) error {
	switch {
	case name == "", name == ".", name == "..":
		return fmt.Errorf("the name is reserved")
	case len(name) > NameMax:
		return fmt.Errorf("the name has %d bytes, more than %d", len(name), NameMax)
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("the name has a slash or a NUL")
	}
	return nil
}

func (e *Entry) checkAttributes() error {
	switch {
	case e.Mode > 0o7777:
		return fmt.Errorf("mode %o", e.Mode)
	case e.Mtime.Nsec >= 1e9:
		return fmt.Errorf("%d nanoseconds", e.Mtime.Nsec)
	case e.Sparse && e.Type != File:
		return fmt.Errorf("a sparse %s", e.Type)
	case e.Group != 0 && e.Type == Dir:
		return fmt.Errorf("a hard-linked directory")
	}
	return nil
}

func (e *Entry) checkType() error {
	switch e.Type {
	case File:
		return e.Content.check(e.Size)
	case Symlink:
		if e.Target == "" || strings.Contains(e.Target, "\x00") {
			return fmt.Errorf("symlink target %q", e.Target)
		}
	case Dir, CharDevice, BlockDevice, Fifo, Socket:
	default:
		return fmt.Errorf("unknown %s", e.Type)
	}
	return nil
}

func (c *Content) check(size uint64) error {
	switch n := len(c.Chunks); {
	case size > math.MaxInt64:
		return fmt.Errorf("a file of %d bytes", size)
	case size <= InlineMax:
		if uint64(len(c.Inline)) != size || n > 0 || c.Listed {
			return fmt.Errorf("%d bytes, %d of them inline", size, len(c.Inline))
		}
	case c.Inline != nil:
		return fmt.Errorf("%d bytes inline", size)
	case size <= chunk.WholeMax:
		if n > 0 || c.Listed {
			return fmt.Errorf("a list of chunks for %d bytes", size)
		}
	case n < 1 || n > InEntryMax && !c.Listed:
		return fmt.Errorf("%d chunks in the entry", n)
	default:
		return c.checkRefs(size)
	}
	return nil
}

func (c *Content) checkRefs(size uint64) error {
	most := uint64(chunk.MaxSize)
	if c.Listed {
		most *= ListMax
	}
	var sum uint64
	for _, r := range c.Chunks {
		if r.Size == 0 || r.Size > most || sum+r.Size > size {
			return fmt.Errorf("a chunk of %d bytes", r.Size)
		}
		sum += r.Size
	}
	switch {
	case sum != size:
		return fmt.Errorf("chunks of %d bytes for a file of %d", sum, size)
	case len(c.Chunks) == 1 && !c.Listed && c.Chunks[0].ID != c.ID:
		return fmt.Errorf("one chunk that is not the file")
	}
	return nil
}

func (e *Entry) checkXattrs() error {
	for i, x := range e.Xattrs {
		if x.Name == "" || strings.Contains(x.Name, "\x00") || i > 0 && x.Name <= e.Xattrs[i-1].Name {
			return fmt.Errorf("extended attribute %q empty or out of order", x.Name)
		}
	}
	return nil
}

func (e *Entry) checkWindows() error {
	if e.Windows == nil {
		return nil
	}
	if w := e.Windows; w.Attributes == 0 && w.Created == 0 && w.ShortName == "" &&
		len(w.Security)+len(w.Reparse)+len(w.Streams) == 0 {
		return fmt.Errorf("an empty Windows part")
	}
	for i := range e.Windows.Streams {
		s := &e.Windows.Streams[i]
		if s.Name == "" || i > 0 && s.Name <= e.Windows.Streams[i-1].Name {
			return fmt.Errorf("stream %q empty or out of order", s.Name)
		}
		if err := s.Content.check(s.Size); err != nil {
			return fmt.Errorf("stream %q: %w", s.Name, err)
		}
	}
	return nil
}
