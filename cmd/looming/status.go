package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/looming-project/looming/pivot"
	"github.com/looming-project/looming/vfs/wire"
	"github.com/spf13/cobra"
)

func statusCommand(app *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status [TARGET|BACKING]...",
		Short: "say what is going on: which desktops are shown here, and how far they are",
		RunE: func(cmd *cobra.Command, args []string) error {
			works, err := app.works(args)
			if err != nil {
				return err
			}
			out := make([]status, 0, len(works))
			for _, w := range works {
				st, err := app.status(cmd.Context(), w)
				if err != nil {
					return err
				}
				out = append(out, st)
			}
			return app.print(out, func() {
				if len(out) == 0 {
					fmt.Fprintln(app.out, "no desktop is shown here")
				}
				for i := range out {
					fmt.Fprintln(app.out, out[i].summary())
				}
			})
		},
	}
}

// status is statusOf, also for a target that is native.
func (a *app) status(ctx context.Context, work string) (status, error) {
	st, err := statusOf(ctx, work)
	if !errors.Is(err, wire.ErrNotFound) {
		return st, err
	}
	if st, ok := a.shown().wasMade(work); ok {
		return st, nil
	}
	return st, err
}

// statusOf asks the process that serves a work directory, or reads what it left.
func statusOf(ctx context.Context, work string) (st status, err error) {
	b, err := ask(ctx, work, "GET", "/status")
	if err == nil {
		return st, json.Unmarshal(b, &st)
	}
	if !noServer(err) {
		return st, fmt.Errorf("asking for the state of %s: %w", work, err)
	}
	w, err := readWanted(work)
	if err != nil {
		return st, err
	}
	st.Progress = keptProgress(work)
	st.Kind, st.CVD, st.Snapshot, st.Target, st.Phase = "stream", w.CVD, w.Snapshot, targetOf(work), phaseStopped
	st.BytesTotal, st.FilesTotal = w.Bytes, w.Files
	return st, nil
}

// readWanted reads which desktop a work directory is for.
func readWanted(work string) (w wanted, err error) {
	path := filepath.Join(work, wantedFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return w, fmt.Errorf("%w: nothing is streamed to %s", wire.ErrNotFound, targetOf(work))
	}
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	if err != nil {
		return w, fmt.Errorf("%s: %w", path, err)
	}
	return w, nil
}

func noServer(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// targetOf undoes pivot.For: /x/.desk.looming belongs to /x/desk.
func targetOf(work string) string {
	dir, base := filepath.Split(work)
	if len(base) > len(".")+len(".looming") && base[0] == '.' && filepath.Ext(base) == ".looming" {
		return filepath.Join(dir, base[1:len(base)-len(".looming")])
	}
	return work
}

func pivotCommand(app *app) *cobra.Command {
	return &cobra.Command{
		Use:   "pivot TARGET",
		Short: "make a streamed TARGET native, as soon as all of it is here",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := pivot.For(args[0])
			if err != nil {
				return err
			}
			_, err = ask(cmd.Context(), l.Work, "POST", "/pivot")
			if err == nil {
				return app.waitNative(cmd.Context(), l)
			}
			if !noServer(err) {
				return err
			}
			r, err := pivot.Recover(args[0])
			if err != nil {
				return err
			}
			if st, ok := app.shown().wasMade(l.Work); ok && r.Stage == pivot.Nothing {
				return app.print(st, func() { fmt.Fprintln(app.out, l.Target, "is native") })
			}
			if r.Stage == pivot.Nothing {
				return fmt.Errorf("%w: nothing is streamed to %s, and no desktop was made native there", wire.ErrNotFound, l.Target)
			}
			return fmt.Errorf("%w: nobody streams %s now: %s", wire.ErrConflict, l.Target, r.Advice())
		},
	}
}

// nativeAt is the status of a target that is native already.
func nativeAt(target string) status {
	return status{Progress: wire.Progress{Kind: "stream", Target: target, Phase: phaseNative}}
}

// waitNative follows a stream that was asked to pivot.
func (a *app) waitNative(ctx context.Context, l pivot.Layout) error {
	p := a.newProgress()
	defer p.end()
	for {
		st, err := statusOf(ctx, l.Work)
		if errors.Is(err, wire.ErrNotFound) || st.Phase == phaseNative {
			p.end()
			return a.print(nativeAt(l.Target), func() { fmt.Fprintln(a.out, l.Target, "is native") })
		}
		if err != nil {
			return err
		}
		if st.Phase == phaseFailed || st.Phase == phaseStopped {
			return fmt.Errorf("%s: %s: %s", l.Target, st.Phase, cmp.Or(st.Message, "the process that streamed it has ended: stream it again"))
		}
		p.status(st)
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
