package scan

import (
	"cmp"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
)

// Placeholders tell a scan of a backing directory what its placeholders stand for.
type Placeholders interface {
	// File returns what a file of that size with these extended attributes stands for, which must be known to the
	// server, or nil if it is native. What nobody knows before it is native is an error that wraps ErrPlaceholder.
	File(attrs []cvd.Xattr, size uint64) (*Held, error)
	// Bring makes what lies at a path below the root native: a directory is listed, a file is here.
	Bring(path string) error
}

// Held is what a placeholder for a file stands for.
type Held struct {
	Content cvd.Content
	Sparse  bool
	// Mtime, if Timed, and Caps are what filling takes away and sets again.
	Mtime cvd.Time
	Timed bool
	Caps  []byte
}

// adjust has an entry be what it is when it is not being filled.
func (h *Held) adjust(st *stat, xs []cvd.Xattr) []cvd.Xattr {
	if h.Timed {
		st.Mtime = h.Mtime
	}
	if len(h.Caps) == 0 {
		return xs
	}
	i, found := slices.BinarySearchFunc(xs, capabilities, func(x cvd.Xattr, name string) int { return compare(x.Name, name) })
	if !found {
		xs = slices.Insert(xs, i, cvd.Xattr{Name: capabilities, Value: h.Caps})
	}
	return xs
}

// capabilities is the attribute that the kernel takes away with every write.
const capabilities = "security.capability"

// markIn finds the mark among an entry's attributes.
func markIn(xs []cvd.Xattr) (m backing.Mark, ok bool, err error) {
	for _, x := range xs {
		if slices.Contains(marks, x.Name) {
			m, err = backing.DecodeMark(x.Value)
			return m, true, err
		}
	}
	return m, false, nil
}

// Streamed are the placeholders of a desktop that is being streamed on this machine.
type Streamed struct {
	// Side is the state directory beside the backing directory.
	Side string
	// Shown is where the desktop is mounted: what is read there is brought.
	Shown string
}

// File implements Placeholders. What its user wrote into, or cut, while it was a placeholder is in no mark.
func (s Streamed) File(attrs []cvd.Xattr, size uint64) (*Held, error) {
	m, marked, err := markIn(attrs)
	if err == nil && marked && m.External {
		err = backing.ReadContent(s.Side, &m)
	}
	switch {
	case err != nil || !marked:
		return nil, err
	case m.Ranged() && !m.Timed || m.Size != size:
		return nil, ErrPlaceholder
	}
	return &Held{Content: m.Content, Sparse: m.Sparse, Mtime: m.Mtime, Timed: m.Timed, Caps: m.Caps}, nil
}

// Bring implements Placeholders. Paths may be longer than the system takes at once.
func (s Streamed) Bring(path string) error {
	top, err := os.OpenRoot(s.Shown)
	if err != nil {
		return err
	}
	defer top.Close()
	f, err := top.Open(cmp.Or(path, "."))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		if _, err = f.Readdirnames(1); errors.Is(err, io.EOF) {
			err = nil
		}
	} else if err == nil {
		_, err = io.Copy(io.Discard, f)
	}
	if err != nil {
		return err
	}
	return durable.SyncFile(f) // nothing is native before it is durable
}
