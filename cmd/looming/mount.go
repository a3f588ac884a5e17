package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/looming-project/looming/pivot"
	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// mounting is one run of `looming mount`.
type mounting struct {
	cvd, snapshot string
	backing       string
	point         string
	showing       showing
}

func mountCommand(app *app) *cobra.Command {
	m := &mounting{}
	cmd := &cobra.Command{
		Use:   "mount MOUNTPOINT",
		Short: "show a desktop at MOUNTPOINT until it is unmounted",
		Long: `mount shows a desktop as a file system. What is opened is fetched and kept in the backing directory, with all
changes; nothing is fetched ahead. It ends when it is unmounted (umount MOUNTPOINT) or interrupted.

The desktop's snapshots are there as well, read-only, each as MOUNTPOINT/.snapshots/NAME; an id, the start of one, or
latest lead there. A listing of MOUNTPOINT leaves .snapshots out, so that whoever walks the desktop does not walk its
past. A desktop that has a .snapshots of its own shows that instead.`,
		Args: cobra.ExactArgs(1),
		RunE: app.keep(func(cmd *cobra.Command, args []string) error {
			m.point = args[0]
			if err := m.showing.check(); err != nil {
				return err
			}
			return app.withServer(cmd, func(ctx context.Context, c *remote.Client) error {
				return m.run(ctx, app, c)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&m.cvd, "cvd", "", "the desktop's `name` (default: the device's only one)")
	f.StringVar(&m.snapshot, "snapshot", "", snapshotUsage)
	f.StringVar(&m.backing, "backing", "", "`directory` for what is fetched and changed (default: one for the desktop in the state directory)")
	m.showing.flags(f)
	return cmd
}

// run mounts, and serves until the mount is gone or ctx ends.
func (m *mounting) run(ctx context.Context, app *app, c *remote.Client) (err error) {
	point, err := filepath.Abs(m.point)
	if err != nil {
		return err
	}
	over, err := inherit(point)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, over.Close()) }()
	work, err := m.work(ctx, app, c, over)
	if err != nil {
		return err
	}
	if !over.Taken() { // nobody answers yet at a mount that is taken over
		if err := m.prepare(work, point); err != nil {
			return err
		}
	}
	w, err := choose(ctx, c, work, m.cvd, m.snapshot)
	if err != nil {
		return err
	}
	if !over.Taken() {
		if err := app.shown().add(work); err != nil {
			return err
		}
		if err := durable.MkdirAll(point, 0o755); err != nil {
			return err
		}
	}
	over.SetPlace(work)
	d, err := openDesktop(ctx, c, w, site{backing: filepath.Join(work, "backing"), side: filepath.Join(work, stateDir), dir: point, over: over}, m.showing)
	if err != nil {
		return err
	}
	meter := newMeter(d, point)
	meter.phase(phaseMounted, "")
	slog.Info("mounted", "cvd", w.CVD, "snapshot", w.Snapshot, "at", point, "backing", filepath.Join(work, "backing"))
	err = m.serve(ctx, d, meter, work)
	return errors.Join(err, d.close())
}

// prepare refuses a backing directory that holds anything but a mount's, and a mount point that is in use, or inside of
// what it shows.
func (m *mounting) prepare(work, point string) error {
	if rel, err := filepath.Rel(work, point); err == nil && filepath.IsLocal(rel) {
		return invalid("the mount point %s lies in the backing directory %s: choose another for one of them", point, work)
	}
	if rel, err := filepath.Rel(point, work); err == nil && filepath.IsLocal(rel) {
		return invalid("the backing directory %s lies below the mount point %s, which hides it: choose another for one of them", work, point)
	}
	names, err := os.ReadDir(work)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ours := func(e os.DirEntry) bool { return e.Name() == wantedFile }
	if len(names) > 0 && !slices.ContainsFunc(names, ours) {
		return fmt.Errorf("%w: %s is not empty, and no mount has used it: name an empty directory with --backing, or one that is free", wire.ErrConflict, work)
	}
	if to, err := filepath.EvalSymlinks(point); err == nil {
		point = to
	}
	r, err := pivot.Recover(point)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && r.Facts.Mounted && !r.Facts.Dead {
		return fmt.Errorf("%w: %w at %s: unmount it first, or choose another directory", wire.ErrConflict, pivot.ErrStillMounted, point)
	}
	return err
}

// work is the directory that holds the backing directory and its state.
func (m *mounting) work(ctx context.Context, app *app, c *remote.Client, over *handover) (string, error) {
	if over.Taken() {
		return over.Place(), nil
	}
	if m.backing != "" {
		return filepath.Abs(m.backing)
	}
	if m.cvd == "" {
		name, err := onlyCVD(ctx, c)
		if err != nil {
			return "", err
		}
		m.cvd = name
	}
	s, err := snapshotOf(ctx, c, m.cvd, m.snapshot)
	if err != nil {
		return "", err
	}
	m.snapshot = s.ID.String()
	return filepath.Join(app.dir, "mounts", m.snapshot), nil
}

func (m *mounting) serve(ctx context.Context, d *desktop, meter *meter, work string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.f.Run(ctx) })
	g.Go(func() error { return d.learnt.run(ctx) })
	g.Go(func() error { return meter.tell(ctx) })
	g.Go(func() error { return control(ctx, work, meter) })
	g.Go(func() error {
		defer stop()
		return waitGone(ctx, d)
	})
	err := g.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	d.learnt.end(end)
	return err
}

// waitGone returns when the file system was unmounted, or ctx ends.
func waitGone(ctx context.Context, d *desktop) error {
	gone := make(chan struct{})
	go func() { // ends with the mount, at the latest when close takes it away
		d.m.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		d.m = nil
	case <-ctx.Done():
	}
	return nil
}
