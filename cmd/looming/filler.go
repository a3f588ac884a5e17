package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/looming-project/looming/prefetch"
	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/fetch"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
)

// tree shows a desktop to the planner.
type tree struct{ f *vfs.FS }

// List implements prefetch.Tree.
func (t tree) List(ctx context.Context, dir, after string) ([]prefetch.Item, bool, error) {
	items, err := t.f.List(ctx, dir, after)
	return convert(items), false, outOfReach(err)
}

// Lookup implements prefetch.Tree.
func (t tree) Lookup(ctx context.Context, paths []string) ([]prefetch.Item, error) {
	items, err := t.f.Find(ctx, paths)
	return convert(items), outOfReach(err)
}

func convert(items []vfs.Item) []prefetch.Item {
	out := make([]prefetch.Item, len(items))
	for i, it := range items {
		out[i] = prefetch.Item{Path: it.Path, Size: it.Size, ID: it.ID, Dir: it.Dir, Native: !it.Dir && it.Native()}
	}
	return out
}

// filler brings what the planner wants, over the line of a client.
type filler struct {
	f    *vfs.FS
	held *reuse
	c    *remote.Client
	// demands is how many there were when Heard was called last.
	demands *uint64
}

func newFiller(f *vfs.FS, held *reuse, c *remote.Client) filler {
	return filler{f, held, c, new(uint64)}
}

// Fill implements prefetch.Filler.
func (b filler) Fill(ctx context.Context, batch []prefetch.Item) error {
	errs := b.f.FillParts(ctx, partsOf(batch))
	failed := false
	for _, err := range errs {
		if passes(err) {
			return outOfReach(err)
		}
		failed = failed || err != nil
	}
	if failed {
		return &prefetch.Partial{Errs: errs}
	}
	return ctx.Err()
}

func partsOf(items []prefetch.Item) []vfs.Part {
	parts := make([]vfs.Part, len(items))
	for i, it := range items {
		parts[i] = vfs.Part{Path: it.Path, From: it.From, To: it.To}
	}
	return parts
}

// FillNear implements prefetch.NearFiller. What nobody has asked for yet waits until it is known what this disk holds;
// what is used first does not. An error is found again by whoever fills or verifies what is left.
func (b filler) FillNear(ctx context.Context, w prefetch.Work) {
	if b.held.near() == nil || w.Stage == prefetch.RestStage && b.held.wait(ctx) != nil || b.f.Quiet(ctx) != nil {
		return
	}
	whole, _ := b.f.FillNear(ctx, partsOf(w.Items))
	for i := range whole {
		w.Items[i].Native = w.Items[i].Native || whole[i]
	}
}

// FillRange implements prefetch.RangeFiller.
func (b filler) FillRange(ctx context.Context, it prefetch.Item, off, n uint64) error {
	brought, err := b.f.FillRange(ctx, it.Path, off, n, off == it.From)
	if err == nil && !brought {
		return prefetch.ErrHere
	}
	return outOfReach(err)
}

// Quiet implements prefetch.Yielder.
func (b filler) Quiet(ctx context.Context) error { return b.f.Quiet(ctx) }

// Pace implements prefetch.Line.
func (b filler) Pace(rate float64) { b.c.Pace(rate) }

// TellPace implements prefetch.Line.
func (b filler) TellPace(ctx context.Context) error { return b.c.TellPace(ctx) }

// Heard implements prefetch.Line.
func (b filler) Heard() prefetch.Heard {
	h, demands := b.c.Heard(), b.f.Stats().DemandCount
	since := demands - *b.demands
	*b.demands = demands
	return prefetch.Heard{
		Bytes: h.Bytes, Pieces: h.Pieces, Awaited: h.Awaited, Delay: h.Delay, Clock: h.Clock, Round: h.Round,
		Limit: h.Limit, Demands: since,
	}
}

// passing are the errors after which the same may be asked again later.
var passing = []error{wire.ErrUnreachable, wire.ErrUnavailable, wire.ErrFull, fetch.ErrOffline}

// full are the errors after which somebody has to make room on this disk.
var full = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS}

// outOfReach tells prefetch that waiting helps.
func outOfReach(err error) error {
	for _, p := range full {
		if errors.Is(err, p) {
			return fmt.Errorf("%w: %w", prefetch.ErrBlocked, err)
		}
	}
	for _, p := range passing {
		if errors.Is(err, p) {
			return fmt.Errorf("%w: %w", prefetch.ErrUnreachable, err)
		}
	}
	return err
}

// passes says that waiting helps: for the link, or for room on the disk.
func passes(err error) bool {
	err = outOfReach(err)
	return errors.Is(err, prefetch.ErrUnreachable) || errors.Is(err, prefetch.ErrBlocked)
}
