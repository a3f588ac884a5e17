package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/pivot"
	"github.com/looming-project/looming/prefetch"
	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// streaming is one run of `looming stream`.
type streaming struct {
	cvd, snapshot string
	target        string
	noPivot       bool
	reuse         []string
	app           *app
	showing       showing
	client        *remote.Client
	shown         shown
	show          func(status)
}

func streamCommand(app *app) *cobra.Command {
	s := &streaming{app: app}
	cmd := &cobra.Command{
		Use:   "stream TARGET",
		Short: "show a desktop at TARGET at once, fill it in the background, and make TARGET the desktop",
		Long: `stream mounts a desktop at TARGET, an empty directory or a name that is free. Files can be opened at once: what is
not here is fetched when it is read, the rest in the background, in the order in which it is used. When all is here
the mount steps aside and TARGET is an ordinary directory. Interrupted at any moment, the same command goes on.

What this disk holds already is not fetched: files, and parts of files, of the trees that --reuse names are used again,
whatever their names; without it, those of directories of which this machine took a snapshot, and of its other desktops.
Nothing is changed there, and everything that is used is verified. In the status, from_disk counts it.

Until the mount steps aside the desktop's snapshots are there as well, as with mount: TARGET/.snapshots/NAME.`,
		Args: cobra.ExactArgs(1),
		RunE: app.keep(func(cmd *cobra.Command, args []string) error {
			s.target = args[0]
			if err := s.showing.check(); err != nil {
				return err
			}
			return app.withServer(cmd, func(ctx context.Context, c *remote.Client) error {
				s.client, s.shown = c, app.shown()
				return s.command(ctx, app)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&s.cvd, "cvd", "", "the desktop's `name` (default: the device's only one)")
	f.StringVar(&s.snapshot, "snapshot", "", snapshotUsage)
	f.BoolVar(&s.noPivot, "no-pivot", false, "stay mounted when all is here, until \"looming pivot\" or an interrupt")
	f.StringArrayVar(&s.reuse, "reuse", nil, "`directory` whose files are used again, such as /; may be repeated; none: nothing is")
	f.Var(&s.showing.reserve, "reserve", "how much of the disk stays `free` while files come that nobody waits for (default: a fiftieth, at most 1 GiB)")
	s.showing.flags(f)
	return cmd
}

func (s *streaming) command(ctx context.Context, app *app) error {
	p := app.newProgress()
	defer p.end()
	s.show = p.status
	st, err := s.run(ctx)
	p.end()
	if err != nil {
		return err
	}
	return app.print(st, func() { fmt.Fprintln(app.out, st.summary()) })
}

// run streams until the target is native, or with noPivot until ctx ends.
func (s *streaming) run(ctx context.Context) (st status, err error) {
	l, err := pivot.For(s.target)
	if err != nil {
		return status{}, err
	}
	over, err := inherit(l.Target)
	if err != nil {
		return status{}, err
	}
	defer func() { err = errors.Join(err, over.Close()) }()
	if !over.Taken() { // nobody answers yet at a mount that is taken over
		r, err := pivot.Recover(s.target)
		if err != nil {
			return status{}, err
		}
		if r.Stage == pivot.Switched || r.Stage == pivot.Proving || r.Stage == pivot.Nothing && r.Facts.Waste {
			return s.finishPivot(ctx, l)
		}
		if err := s.prepare(l, r); err != nil {
			return status{}, err
		}
	}
	w, err := choose(ctx, s.client, l.Work, s.cvd, s.snapshot)
	if err != nil {
		return status{}, err
	}
	if !over.Taken() {
		if err := s.shown.add(l.Work); err != nil {
			return status{}, err
		}
	}
	side := filepath.Join(l.Work, stateDir)
	if err := durable.MkdirAll(side, 0o700); err != nil {
		return status{}, err
	}
	held, err := s.held(l.Work, &w, over.Taken())
	if err != nil {
		return status{}, err
	}
	defer held.close()
	d, err := openDesktop(ctx, s.client, w, site{l.Backing, side, l.Target, held, over}, s.showing)
	if err != nil {
		return status{}, err
	}
	return s.serve(ctx, d, l)
}

// held opens what this disk holds already, for a desktop that goes on here if again.
func (s *streaming) held(work string, w *wanted, again bool) (*reuse, error) {
	paths := s.reuse
	if again = again || len(paths) == 0; again { // what is gone since then is no reason to stop
		paths = slices.DeleteFunc(slices.Clone(w.Reuse), func(p string) bool { return p != noReuse && !isDir(p) })
	}
	held, err := s.app.openReuse(paths, work)
	if err != nil || again {
		return held, err
	}
	if err := w.reusing(work, held.named()); err != nil {
		return nil, errors.Join(err, held.close())
	}
	return held, nil
}

// prepare makes the target a place where the desktop can be shown.
func (s *streaming) prepare(l pivot.Layout, r pivot.Recovery) error {
	switch r.Stage {
	case pivot.Reverted, pivot.Reverting, pivot.Unclear:
		return fmt.Errorf("%w: %s", wire.ErrConflict, r.Advice())
	}
	if r.Facts.Mounted && !r.Facts.Dead {
		return fmt.Errorf("%w: %w at %s: it is being streamed by another process, or not Looming's", wire.ErrConflict, pivot.ErrStillMounted, l.Target)
	}
	if r.Facts.Target == pivot.Full {
		return fmt.Errorf("%w: %w: %s: stream to an empty directory or a name that is free", wire.ErrConflict, pivot.ErrNotEmpty, l.Target)
	}
	if r.Facts.Target == pivot.Missing {
		return durable.MkdirAll(l.Target, 0o755)
	}
	return nil
}

// finishPivot ends what a crash left of a pivot that has happened.
func (s *streaming) finishPivot(ctx context.Context, l pivot.Layout) (status, error) {
	st := nativeAt(l.Target)
	_, err := pivot.Run(ctx, pivot.Options{Target: l.Target, Verify: nothingToVerify{}, Report: pivotReport{func(pivot.Progress) {}}})
	if err == nil {
		s.shown.native(l, st)
	}
	return st, err
}

// nothingToVerify is for a pivot whose switch has happened.
type nothingToVerify struct{}

// Verify implements pivot.Verifier.
func (nothingToVerify) Verify(context.Context, string) error { return nil }

// serve fills the desktop that is mounted, and pivots.
func (s *streaming) serve(ctx context.Context, d *desktop, l pivot.Layout) (status, error) {
	m := newMeter(d, l.Target)
	plan, learnt := d.plan(ctx, time.Now())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	background, ctx := errgroup.WithContext(ctx)
	background.Go(func() error { return d.f.Run(ctx) })
	background.Go(func() error { return d.reuse.run(ctx, d.f.Quiet) })
	background.Go(func() error { return d.learnt.run(ctx) })
	background.Go(func() error { return m.run(ctx, s.show) })
	background.Go(func() error { return m.tell(ctx) })
	background.Go(func() error { return control(ctx, l.Work, m) })
	var pivoted atomic.Bool
	background.Go(func() error {
		defer stop()
		err := s.fill(ctx, d, plan, learnt, m)
		if err == nil {
			err = s.end(ctx, d, l, m, &pivoted)
		}
		return err
	})
	err := background.Wait()
	if errors.Is(err, context.Canceled) {
		err = stopped{}
	}
	return s.leave(d, m, err, pivoted.Load())
}

// stopped is the end of a stream that was interrupted.
type stopped struct{}

func (stopped) Error() string { return "stopped; the same command goes on" }

func (stopped) Is(target error) bool { return target == context.Canceled }

// leave lets go of the desktop and says how things stand.
func (s *streaming) leave(d *desktop, m *meter, err error, pivoted bool) (status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if pivoted {
		m.phase(phaseNative, "")
	} else if err != nil && !errors.Is(err, context.Canceled) {
		m.phase(phaseFailed, err.Error())
	} else {
		m.phase(phaseStopped, "interrupted: the same command goes on")
	}
	if sent := d.learnt.client.Progress(ctx, m.wire()); sent != nil {
		slog.Debug("the console was not told", "err", sent)
	}
	st := m.status()
	if pivoted {
		return st, err
	}
	d.learnt.end(ctx)
	return st, errors.Join(err, d.close())
}

// fill lists the desktop and brings everything.
func (s *streaming) fill(ctx context.Context, d *desktop, plan *prefetch.Plan, learnt bool, m *meter) error {
	if learnt { // what is used first comes before the list of all there is
		both, ctx := errgroup.WithContext(ctx)
		started := make(chan struct{})
		both.Go(func() error {
			select {
			case <-started:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := d.reuse.wait(ctx); err != nil {
				return err
			}
			return s.list(ctx, d, m)
		})
		both.Go(func() error { return s.bring(ctx, d, plan, m, sync.OnceFunc(func() { close(started) })) })
		return both.Wait()
	}
	m.phase(phaseListing, "looking at what this disk holds already")
	if err := d.reuse.wait(ctx); err != nil {
		return err
	}
	m.phase(phaseListing, "")
	if err := s.list(ctx, d, m); err != nil {
		return err
	}
	return s.bring(ctx, d, plan, m, func() {})
}

// list lists all directories; a link that is cut makes it wait.
func (s *streaming) list(ctx context.Context, d *desktop, m *meter) error {
	for pause := time.Second; ; pause = min(2*pause, 15*time.Second) {
		err := d.f.ListAll(ctx, m.listed)
		if err == nil || !passes(err) {
			return err
		}
		m.phase(waitingFor(err), err.Error())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// waitingFor is the phase of a stream that waits for the link, or for room on the disk.
func waitingFor(err error) string {
	if errors.Is(outOfReach(err), prefetch.ErrBlocked) {
		return phaseWaiting
	}
	return phaseOffline
}

// bring works through the plan; started is called once nothing of the start set is asked for any more.
func (s *streaming) bring(ctx context.Context, d *desktop, plan *prefetch.Plan, m *meter, started func()) error {
	o := prefetch.Options{Files: d.Files, Bytes: d.Bytes, Report: func(p prefetch.Progress) {
		m.prefetched(p)
		if p.Stage != prefetch.StartSetStage || p.State == prefetch.Done {
			started()
		}
	}}
	if err := prefetch.NewRunner(plan, newFiller(d.f, d.reuse, d.client), o).Run(ctx); err != nil {
		return fmt.Errorf("filling %s: %w", d.dir, err)
	}
	return d.f.Settle()
}

// end pivots, or waits to be told to.
func (s *streaming) end(ctx context.Context, d *desktop, l pivot.Layout, m *meter, pivoted *atomic.Bool) error {
	if s.noPivot {
		m.phase(phaseFilled, "all is here: `looming pivot` makes it native")
		select {
		case <-m.pivotNow:
		case <-ctx.Done():
			return nil
		}
	}
	d.learnt.end(ctx)
	m.phase(phaseVerifying, "")
	report := pivotReport{func(p pivot.Progress) { m.phase(pivotPhase(p), p.String()) }}
	res, err := pivot.Run(ctx, pivot.Options{Target: l.Target, Verify: d, Quiesce: d.f, Unmount: d, Sync: d.f, Report: report})
	if err == nil {
		pivoted.Store(true)
		m.phase(phaseNative, "")
		s.shown.native(l, m.status())
		s.app.trees().add(l.Target, d.CVD)
	}
	if res.Unmounted {
		d.m = nil
	}
	if err == nil {
		err = d.f.Close()
	}
	return err
}

// pivotReport passes on what a pivot says.
type pivotReport struct{ say func(pivot.Progress) }

// Report implements pivot.Reporter.
func (r pivotReport) Report(p pivot.Progress) { r.say(p) }

func pivotPhase(p pivot.Progress) string {
	switch {
	case len(p.Holders) > 0:
		return phaseWaiting
	case p.Step == pivot.Verifying:
		return phaseVerifying
	}
	return phasePivoting
}
