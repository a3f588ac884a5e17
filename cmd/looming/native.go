package main

import (
	"context"
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
		return opens.Run(ctx, n.root, func(path string, user uint32) { l.rec.Opened(path, user, false) }, opens.Options{})
	})
	err := g.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	l.end(end)
	return err
}
