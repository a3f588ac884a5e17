package vfs

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"golang.org/x/sync/errgroup"
)

// Read-ahead of a ranged file doubles with every read that goes on where the
// last one ended, up to aheadMax chunks.
const aheadMax = 16

// Ensure brings the bytes [off, off+length) of the file.
func (h *Handle) Ensure(ctx context.Context, off int64, length int) error {
	n := h.n
	n.mu.Lock()
	absent := h.absentLocked(backing.Range{Start: uint64(off), End: uint64(off) + uint64(length)})
	n.mu.Unlock()
	if len(absent) == 0 {
		return nil
	}
	absent, err := h.nearRanges(ctx, absent)
	if err != nil {
		return fmt.Errorf("reading %q: %w", h.f.Path(n), err)
	}
	if len(absent) == 0 {
		return nil
	}
	if err := h.bring(ctx, absent); err != nil {
		return fmt.Errorf("reading %q: %w", h.f.Path(n), err)
	}
	return nil
}

// absentLocked returns what of r must be fetched. Called under Node.mu.
func (h *Handle) absentLocked(r backing.Range) []backing.Range {
	c := h.n.file
	if c.state != ranged {
		return nil
	}
	r.End = min(r.End, c.mark.Size)
	if r.Start >= r.End {
		return nil
	}
	return c.part.Present.Absent(r)
}

// bring fetches what is absent and waits for it; what a sequential reader will
// want next is fetched as well, and not waited for.
func (h *Handle) bring(ctx context.Context, absent []backing.Range) error {
	want := backing.Range{Start: absent[0].Start, End: absent[len(absent)-1].End}
	chunks, err := h.f.chunksIn(ctx, h.n, h.extend(want), h.f.sched.Demanded())
	if err != nil {
		return err
	}
	start := time.Now()
	var bytes atomic.Uint64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(aheadMax)
	for _, p := range chunks {
		switch {
		case h.present(p.Range):
		case p.Start < want.End:
			g.Go(func() error {
				bytes.Add(p.Len())
				return h.f.fetchRange(ctx, h.n, p)
			})
		default:
			h.f.ahead(h.n, p)
		}
	}
	err = g.Wait()
	h.f.waited(h.n, bytes.Load(), start)
	return err
}

// fetchRange brings one chunk of a ranged file.
func (f *FS) fetchRange(ctx context.Context, n *Node, p placed) error {
	plain, err := f.sched.Demand(ctx, p.id)
	if err != nil {
		return err
	}
	return f.storeRange(n, p, plain)
}

// ahead brings a chunk that somebody will probably want. Its failure is nobody's:
// whoever reads there asks again. FS.Close ends and awaits it.
func (f *FS) ahead(n *Node, p placed) {
	f.table.Lock()
	defer f.table.Unlock()
	if f.aheadNow >= aheadMax || f.aheadCtx.Err() != nil {
		return
	}
	f.aheadNow++
	n.refs++
	f.aheadAll.Add(1)
	go func() {
		defer f.aheadAll.Done()
		_ = f.fetchRange(f.aheadCtx, n, p)
		f.table.Lock()
		f.aheadNow--
		f.table.Unlock()
		f.Forget(n, 1)
	}()
}

func (h *Handle) present(r backing.Range) bool {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	return len(h.absentLocked(r)) == 0
}

// extend reads ahead of a sequential reader: as much again as it has read so far.
func (h *Handle) extend(want backing.Range) backing.Range {
	h.mu.Lock()
	defer h.mu.Unlock()
	if want.Start > h.next || want.Start+2*chunk.MaxSize < h.next {
		h.ahead = 0
	} else {
		h.ahead = min(max(2*h.ahead, 1), aheadMax)
	}
	want.End += uint64(h.ahead) * (chunk.MaxSize / 4)
	h.next = want.End
	return want
}
