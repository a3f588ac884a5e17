package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// reuse is what crosses the network when the second tree is streamed to a disk on which the first one lies, to the same
// onto an empty disk.
func (b *bench) reuse(ctx context.Context) error {
	if b.second == "" {
		return errors.New("restoring over an old system needs --second DIR, the new one")
	}
	s, err := b.begin(ctx)
	if err != nil {
		return err
	}
	if _, err := s.endpoint.Snapshot(ctx, cvd, b.second); err != nil {
		return err
	}
	all, _, err := b.over(ctx, s, "onto an empty disk", "none")
	if err != nil {
		return err
	}
	first, peak, err := b.over(ctx, s, "over an old system", b.tree)
	if err != nil {
		return err
	}
	again, _, err := b.over(ctx, s, "over one that is indexed", b.tree)
	if err != nil {
		return err
	}
	r := result{what: "restore over an old system, bytes on the wire (per cent)", must: 12, aim: 10}
	r.value = 100 * float64(first.Crossed) / float64(all.Crossed)
	r.ours, r.floor = human(int64(first.Crossed)), human(int64(all.Crossed))
	r.note = fmt.Sprintf("%s from the disk; %.1f s with the index, %.1f s once it is there, %.1f s without; peak memory %s",
		human(int64(first.FromDisk)), first.Seconds, again.Seconds, all.Seconds, human(int64(peak)))
	b.add(r)
	return nil
}

// over streams once, with the files of a tree used again.
func (b *bench) over(ctx context.Context, s *setup, what, tree string) (end lab.Streaming, peak uint64, err error) {
	target := filepath.Join(s.dir, "desk")
	_, err = timed(what, func() error {
		p, err := s.endpoint.Stream(ctx, cvd, target, "--reuse", tree)
		if err != nil {
			return err
		}
		end, err = lab.EndStream(ctx, p)
		peak = p.Peak()
		b.remember("streaming "+what, p, s)
		return err
	})
	return end, peak, errors.Join(err, os.RemoveAll(target))
}
