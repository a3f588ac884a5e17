package prefetch

import (
	"context"
	"time"
)

// A Filler brings files. Its methods are called from several goroutines at once, and end when ctx does.
type Filler interface {
	// Fill makes every item of the batch native and returns nil; items that already are, or that are no more, count
	// as done. It returns an error that wraps ErrUnreachable where nothing can be fetched now, or ErrBlocked where
	// nothing can be written; then the same batch is tried until that has passed. It returns a *Partial where items
	// failed for reasons of their own; they are tried again at the end. After any other error the batch is tried in
	// halves, to find what is wrong with it.
	Fill(ctx context.Context, batch []Item) error
}

// A RangeFiller can bring a file in pieces, so that a file larger than what the link holds does not stand in the way of
// a demand. Without it, such a file is one batch.
type RangeFiller interface {
	Filler
	// FillRange brings n bytes at off; pieces of one file may be asked for at once, and the last of them makes the
	// file native. Errors are as for Fill, and ErrHere where nothing had to be fetched: the time it took says nothing
	// about the link.
	FillRange(ctx context.Context, it Item, off, n uint64) error
}

// A NearFiller knows what the disk holds already. FillNear is given all work in the order of the plan, before any of it
// is asked of the link; it makes native what it can and marks those items so. The link goes on meanwhile with what came
// before.
type NearFiller interface {
	Filler
	FillNear(ctx context.Context, w Work)
}

// Yielder is a Filler that knows demand: before each batch, Quiet returns as soon as nobody waits for bytes.
type Yielder interface {
	Filler
	Quiet(ctx context.Context) error
}

// A Line is a Filler whose bytes come over a line, from a sender that keeps a pace. Without it, nothing but the amount in
// flight keeps the line free for others.
type Line interface {
	Filler
	// Pace has the sender send at so many bytes a second from now on, all batches together and one after another; 0 is
	// as fast as it can. It goes along with the next batch.
	Pace(rate float64)
	// TellPace tells the sender at once.
	TellPace(ctx context.Context) error
	// Heard returns what was heard since it was called last.
	Heard() Heard
}

// Heard is what came over a line in some time.
type Heard struct {
	// Bytes came, as they cross the line.
	Bytes uint64
	// Pieces of what was sent came, 0 if the sender keeps no pace; for Awaited of them the line was waited for. Of those,
	// Delay is the least time that one took, by two clocks that differ: only its changes mean something, as long as
	// Clock, the sender's, is the same.
	Pieces, Awaited int
	Delay           time.Duration
	Clock           string
	// Round is the least time from asking to the beginning of an answer, 0 if none began.
	Round time.Duration
	// Limit is the most bytes a second that the sender will send, 0 if it has said none.
	Limit float64
	// Demands began: somebody waited.
	Demands uint64
}
