package scan

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/looming-project/looming/vfs/cvd"
)

var (
	// ErrChanging says that a file did not hold still for long enough to be read.
	ErrChanging = errors.New("it changes while it is being read; close what writes to it, then take another snapshot")
	// ErrPlaceholder says that what an entry holds is not, or not all, on this disk.
	ErrPlaceholder = errors.New("it is a placeholder whose content is not here; take the snapshot where the desktop is shown")
	// errAttributes says that an entry does not fit the format.
	errAttributes = errors.New("its extended attributes are larger than a snapshot can hold")
)

// marks are the attributes by which placeholders say what they are; vfs/backing chooses one for each backing directory.
var marks = []string{"trusted.looming", "user.looming"}

// isMachinery says whether an attribute is Looming's own: a mark, or what is named below one.
func isMachinery(name string) bool {
	for _, mark := range marks {
		if rest, ok := strings.CutPrefix(name, mark); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

// xattrsMost bounds the attributes of one entry, in bytes.
const xattrsMost = cvd.EntryMax - 64<<10

// job is an entry to be looked into. Its fields above wait are the walker's, those below the worker's,
// until wait is over; then the assembler's.
type job struct {
	n    *node
	name string
	// known are the facts of a stat cache which need not be true of the server.
	known *facts

	wait sync.WaitGroup

	st stat
	facts
	// held is what a placeholder stands for.
	held *Held
	err  error
}

// done hands the job over to the assembler.
func (j *job) done(err error) {
	j.err = err
	j.n.release()
	j.wait.Done()
}

// undone hands the job back because the scan ends with err, which says nothing about the entry.
func (j *job) undone(err error) { j.done(&scanError{err}) }

// scanError is an error that ends the scan.
type scanError struct{ err error }

func (e *scanError) Error() string { return e.err.Error() }

// attributes takes an entry's extended attributes, and what a placeholder stands for, if it is one.
func (j *job) attributes(xs []cvd.Xattr, hook Placeholders) (err error) {
	j.held = nil
	if hook != nil && j.st.kind() == cvd.File {
		if j.held, err = hook.File(xs, j.st.Size); err != nil {
			return err
		}
	}
	if j.xattrs, err = native(xs, hook); j.held != nil {
		j.xattrs = j.held.adjust(&j.st, j.xattrs)
	}
	return err
}

// native drops the machinery's attributes, which without a hook must not be there. It returns the others with that error.
func native(xs []cvd.Xattr, hook Placeholders) ([]cvd.Xattr, error) {
	size, out, err := 0, xs[:0], error(nil)
	for _, x := range xs {
		if isMachinery(x.Name) {
			if hook == nil {
				err = ErrPlaceholder
			}
			continue
		}
		size += len(x.Name) + len(x.Value) + 8
		out = append(out, x)
	}
	if size > xattrsMost {
		return nil, fmt.Errorf("%w: %d bytes", errAttributes, size)
	}
	return out, err
}
