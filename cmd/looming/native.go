package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/looming-project/looming/prefetch/opens"
	"github.com/looming-project/looming/vfs/remote"
	"golang.org/x/sync/errgroup"
)

// native is a desktop on the real disk whose use is learnt. Its root is empty where none is.
type native struct{ root, cvd string }

// run learns until ctx ends; what is not sent yet is kept at path.
func (n *native) run(ctx context.Context, c *remote.Client, path string) error {
	if n.root == "" {
		return nil
	}
	l := newLearner(c, n.cvd, path)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.run(ctx) })
	g.Go(func() error {
		n.watch(ctx, l)
		return nil
	})
	err := g.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	l.end(end)
	return err
}

// watch has l learn what is opened, again and again until ctx ends: an agent whose desktop cannot be watched goes on with
// its streams.
func (n *native) watch(ctx context.Context, l *learner) {
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, 10*time.Minute) {
		err := opens.Run(ctx, n.root, func(path string, user uint32) { l.rec.Opened(path, user, false) }, opens.Options{})
		if err == nil || ctx.Err() != nil {
			return
		}
		if errors.Is(err, errors.ErrUnsupported) {
			slog.Error("nothing is learnt about the native desktop", "root", n.root, "err", err)
			return
		}
		slog.Error("the native desktop is not watched, trying again", "root", n.root, "err", err, "in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}
