package prefetch

import (
	"context"
	"time"
)

// The first wait after a failure, and the longest: a link that is back is noticed within it.
const (
	waitMin = 250 * time.Millisecond
	waitMax = 15 * time.Second
	// waitLast is the longest where all that is left has failed for reasons of its own.
	waitLast = time.Second
)

// backoff doubles a wait with each failure in a row.
type backoff struct {
	fails  int
	jitter func() float64
}

// next returns the next wait: from half of it to the whole, so that many endpoints do not come back at one moment.
func (b *backoff) next(longest time.Duration) time.Duration {
	wait := min(waitMin<<min(b.fails, 10), longest)
	b.fails++
	return wait/2 + time.Duration(b.jitter()*float64(wait/2))
}

func (b *backoff) reset() { b.fails = 0 }

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
