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

// Item is one file of the desktop, or a part of one, or in a listing, one directory.
type Item struct {
	Path string
	// Span is what is to be brought of the file.
	Span
	// Size is the file's length in bytes.
	Size uint64
	// ID is the BLAKE3-256 of the file. It is the owner's: nothing here looks at it.
	ID chunk.ID
	// Dir says that it is a directory.
	Dir bool
	// Native says that there is nothing to bring: it counts as done.
	Native bool

	// had is how many bytes of the file were counted with parts of it.
	had uint64
}

// bytes is how many bytes are to be brought.
func (it *Item) bytes() uint64 {
	if it.Whole() {
		return it.Size
	}
	return min(it.To, it.Size) - it.From
}

// files is how many files are complete with it.
func (it *Item) files() uint64 {
	if it.Whole() {
		return 1
	}
	return 0
}

// fresh is how many of its bytes were not counted before.
func (it *Item) fresh() uint64 { return it.bytes() - min(it.had, it.bytes()) }

// Tree is the desktop that is to be filled, as it is now. Both methods may fetch.
type Tree interface {
	// List returns entries of a directory ("" is the root) in the order of their names: those after the name after, as
	// many as is convenient, and whether there are more. All at once will do for directories of ordinary size. Entries
	// that have no content to bring (symlinks, devices) may be left out. The slice is the caller's to change.
	List(ctx context.Context, dir, after string) (items []Item, more bool, err error)
	// Lookup returns an item for each path, in order; where there is no such file, one without a Path. Of a directory that
	// is looked up the names are here then. What lies on the way to the first paths comes first.
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
