//go:build unix

package pgrun

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// The pace of restarts: soon after the first death, then more slowly while Postgres keeps dying.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
	// steady is how long Postgres must have run for a death to count as the first.
	steady = time.Minute
)

// Run keeps Postgres running in o.Dir until ctx ends, then stops it and returns nil. It calls ready once, when
// connections are served, with a connection string that stays good for as long as Run does. Before ready it returns
// what keeps Postgres from starting; after ready it logs that, and keeps trying.
func Run(ctx context.Context, o Options, ready func(dsn string)) error {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if !filepath.IsAbs(o.Dir) {
		return fmt.Errorf("run Postgres in %q: the path must be absolute", o.Dir)
	}
	c, err := prepare(ctx, o)
	if err != nil {
		return fmt.Errorf("private Postgres in %s: %w", o.Dir, err)
	}
	if err := c.first(ctx, ready); err != nil {
		return fmt.Errorf("private Postgres in %s: %w", o.Dir, err)
	}
	return nil
}

// first brings Postgres up for the first time, where failing is final, and then keeps it.
func (c *cluster) first(ctx context.Context, ready func(string)) error {
	p, err := c.upAloud(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	ready(dsn(c.socket, database))
	return c.keep(ctx, p)
}

// keep waits for the end of ctx, and starts Postgres again whenever it dies before.
func (c *cluster) keep(ctx context.Context, p *postmaster) error {
	pause := firstPause
	since := time.Now()
	for {
		select {
		case <-ctx.Done():
			return p.stop()
		case <-p.gone:
		}
		if time.Since(since) > steady {
			pause = firstPause
		}
		c.log.Warn("Postgres died, starting it again", "how", p.how, "pause", pause)
		for p = nil; p == nil; pause = min(2*pause, lastPause) {
			if !sleep(ctx, pause) {
				return nil
			}
			var err error
			if p, err = c.upAloud(ctx); err != nil && ctx.Err() == nil {
				c.log.Error("Postgres does not start, trying again", "pause", min(2*pause, lastPause), "error", err)
			}
			if ctx.Err() != nil {
				return p.stop()
			}
		}
		since = time.Now()
	}
}

// up adopts the Postgres that runs already, or starts one, and waits until it serves.
func (c *cluster) up(ctx context.Context) (*postmaster, error) {
	c.doing.Store("looking for one that runs")
	p, err := c.adopt()
	if err != nil {
		return nil, err
	}
	if p != nil {
		c.doing.Store("waiting for the one that runs to serve")
		if err := c.waitReady(ctx, p); err == nil {
			return p, nil
		}
		if err := p.stop(); err != nil { // it was being shut down, or is ill
			return nil, err
		}
	}
	c.doing.Store("waiting for the processes of the last one to end")
	if err := c.waitForStragglers(ctx); err != nil {
		return nil, err
	}
	c.doing.Store("starting it")
	if err := c.ownDir(c.socket); err != nil {
		return nil, err
	}
	if p, err = c.start(); err != nil {
		return nil, err
	}
	c.doing.Store("waiting for it to serve")
	if err := c.waitReady(ctx, p); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// sleep is false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
