package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// stream is the whole desktop into an empty directory until native, to a copy.
func (b *bench) stream(ctx context.Context) error {
	s, err := b.filled(ctx)
	if err != nil {
		return err
	}
	var ours, floor []time.Duration
	target := filepath.Join(s.dir, "desk")
	for range b.runs {
		f, err := timed("cp -a", func() error { return shell(ctx, `cp -a "$1" "$2"`, b.tree, target) })
		if err != nil {
			return err
		}
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		o, err := timed("looming stream", func() error { return b.native1(ctx, s, target) })
		if err != nil {
			return err
		}
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		ours, floor = append(ours, o), append(floor, f)
	}
	b.add(result{what: "full stream over loopback until native and verified, to `cp -a`", must: 1.45, aim: 1.1}.ratio(ours, floor))
	return nil
}

// native1 streams to a target once.
func (b *bench) native1(ctx context.Context, s *setup, target string) error {
	p, err := s.endpoint.Stream(ctx, cvd, target)
	if err != nil {
		return err
	}
	end, err := lab.EndStream(ctx, p)
	b.remember("streaming", p, s)
	if err == nil && end.Phase != "native" {
		err = errors.New("the stream ended as " + end.Phase)
	}
	return err
}
