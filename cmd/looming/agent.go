package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

func agentCommand(app *app) *cobra.Command {
	var how showing
	n := &native{}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "the service: go on with every stream of this machine that was not finished, and keep the certificate fresh",
		Long: `agent takes up what a crash or a restart of the machine interrupted: every unfinished stream is mounted again and goes
on. It renews the device's certificate and runs until it is interrupted. With --native it notes which files of a desktop
that is native are opened, so that the next machine that gets the desktop knows what comes first.

Killed, or told by SIGHUP that the program was upgraded, it goes on with its mounts, and no program that uses them
notices. As a service of systemd it wants Restart=always, FileDescriptorStoreMax=10000 and NotifyAccess=main.`,
		Args: cobra.NoArgs,
		RunE: app.keep(func(cmd *cobra.Command, _ []string) error {
			if n.root != "" && n.cvd == "" {
				return fmt.Errorf("%w: --native %s: say which desktop it is with --cvd", wire.ErrInvalid, n.root)
			}
			return app.withDevice(cmd, func(ctx context.Context, c *remote.Client, d *device) error {
				return app.agent(ctx, c, d, how, n)
			})
		}),
	}
	f := cmd.Flags()
	how.flags(f)
	f.StringVar(&n.root, "native", "", "note what is opened below this `directory`, which is a native desktop (Linux)")
	f.StringVar(&n.cvd, "cvd", "", "the `name` of that desktop")
	return cmd
}

func (a *app) agent(ctx context.Context, c *remote.Client, d *device, how showing, n *native) error {
	works, err := a.shown().all()
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.KeepRenewed(ctx, d.key, d.Name, d.keep) })
	g.Go(func() error { return n.run(ctx, c, filepath.Join(a.dir, tallyFile)) })
	for _, w := range works {
		target := targetOf(w)
		if target == w {
			continue // a mount, which somebody asked for by hand
		}
		s := &streaming{app: a, target: target, client: c, shown: a.shown(), showing: how, show: func(status) {}}
		g.Go(func() error {
			a.resume(ctx, s)
			return nil
		})
	}
	return g.Wait()
}

// resume goes on with one stream, again and again until it is native or ctx ends.
func (a *app) resume(ctx context.Context, s *streaming) {
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, time.Minute) {
		st, err := s.run(ctx)
		if err == nil {
			slog.Info("stream ended", "target", filepath.Clean(s.target), "phase", st.Phase)
			return
		}
		if errors.Is(err, context.Canceled) {
			return
		}
		slog.Error("stream failed, trying again", "target", s.target, "err", err, "in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}
