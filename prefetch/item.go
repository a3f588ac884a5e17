package prefetch

import (
	"context"
	"errors"

	"github.com/looming-project/looming/vfs/chunk"
)

// ErrUnreachable is what a Tree or a Filler wraps when nothing can be fetched now whatever is asked: the link is cut, the
// server is away. A Runner then waits and goes on by itself.
var ErrUnreachable = errors.New("out of reach")

// ErrBlocked is what a Filler wraps when nothing can be kept now whatever comes: the disk is full, or read-only. A Runner
// then waits and tries again, without end.
var ErrBlocked = errors.New("nothing can be written")

// ErrHere is what a RangeFiller returns when all of a piece was here already, or comes with another piece.
var ErrHere = errors.New("nothing to bring")

// Item is one file of the desktop, or in a listing, one directory.
type Item struct {
	Path string
	// Size is the file's length in bytes.
	Size uint64
	// ID is the BLAKE3-256 of the file. It is the owner's: nothing here looks at it.
	ID chunk.ID
	// Dir says that it is a directory.
	Dir bool
	// Native says that there is nothing to bring: it counts as done.
	Native bool
}

// Tree is the desktop that is to be filled, as it is now. Both methods may fetch.
type Tree interface {
	// List returns entries of a directory ("" is the root) in the order of their names: those after the name after, as
	// many as is convenient, and whether there are more. All at once will do for directories of ordinary size. Entries
	// that have no content to bring (symlinks, devices) may be left out. The slice is the caller's to change.
	List(ctx context.Context, dir, after string) (items []Item, more bool, err error)
	// Lookup returns an item for each path, in order; where there is no such file, one without a Path.
	Lookup(ctx context.Context, paths []string) ([]Item, error)
}

// Stage says why an item stands where it does in the order of work.
type Stage uint8

// The stages of a plan, in order.
const (
	// StartSetStage is what was used in most starts, in the order of first use.
	StartSetStage Stage = iota
	// KnownStage is what the tally knows, the most expected waiting saved per byte first.
	KnownStage
	// RestStage is everything else, directory by directory.
	RestStage
)

// Work is some items that follow each other in a plan.
type Work struct {
	Stage Stage
	Items []Item
}
