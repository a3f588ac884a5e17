package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/looming-project/looming/pivot"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
	"github.com/spf13/cobra"
)

// forgetting is one run of `looming forget`.
type forgetting struct {
	*app
	lose bool
}

// forgotten is what `looming forget --output json` prints.
type forgotten struct {
	Target string `json:"target"`
	// Work is the directory that is gone.
	Work string `json:"work"`
}

func forgetCommand(a *app) *cobra.Command {
	f := &forgetting{app: a}
	cmd := &cobra.Command{
		Use:   "forget TARGET|BACKING",
		Short: "give a stream or a mount up: remove what is here of it",
		Long: `forget removes what a stream that is not finished keeps beside TARGET, or what a mount keeps in BACKING, so that neither
status nor the agent knows of it any more. It does so only while nothing is shown there, and not if what its user has
changed since the snapshot would be lost: the changes are named. --lose-changes removes them all the same, and asks no
server.

With --output json the document has target and work, the directory that is gone.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().BoolVar(&f.lose, "lose-changes", false, "remove what was changed here as well")
	return cmd
}

func (f *forgetting) run(cmd *cobra.Command, arg string) error {
	works, err := f.works([]string{arg})
	if err != nil {
		return err
	}
	work := works[0]
	if err := f.resting(cmd.Context(), work); err != nil {
		return err
	}
	if !f.lose {
		if err := f.unchanged(cmd, work); err != nil {
			return err
		}
	}
	doc := forgotten{targetOf(work), work}
	if doc.Target == work {
		err = removeMount(work)
	} else {
		_, err = pivot.Forget(cmd.Context(), doc.Target, nil)
	}
	if errors.Is(err, pivot.ErrStillMounted) || errors.Is(err, pivot.ErrSwitched) {
		err = fmt.Errorf("%w: %w", wire.ErrConflict, err)
	}
	if err != nil {
		return err
	}
	f.shown().remove(work)
	return f.print(doc, func() { fmt.Fprintln(f.out, doc.Target, "is forgotten") })
}

// resting fails unless there is something to forget, and nobody shows it.
func (f *forgetting) resting(ctx context.Context, work string) error {
	if _, err := os.Lstat(work); err != nil {
		return fmt.Errorf("%w: nothing is streamed to %s", wire.ErrNotFound, targetOf(work))
	}
	_, err := ask(ctx, work, "GET", "/status")
	if err == nil {
		return fmt.Errorf("%w: %s is shown by a process that runs: end that first", wire.ErrConflict, targetOf(work))
	}
	if !noServer(err) {
		return fmt.Errorf("asking whether %s is shown: %w", targetOf(work), err)
	}
	return nil
}

// mostNamed is how many changes are named.
const mostNamed = 5

// unchanged fails if its user has changed what is shown, or if that cannot be told.
func (f *forgetting) unchanged(cmd *cobra.Command, work string) error {
	w, err := readWanted(work)
	if errors.Is(err, wire.ErrNotFound) {
		return nil // it ended before a desktop was chosen
	}
	if err != nil {
		return err
	}
	var c changes
	err = f.withServer(cmd, func(ctx context.Context, client *remote.Client) error {
		c = changes{src: client.Source(remote.Bulk), side: filepath.Join(work, stateDir)}
		top, err := cvd.ReadRoot(ctx, c.src, w.Root)
		if err != nil {
			return err
		}
		return c.below(ctx, filepath.Join(work, "backing"), top)
	})
	if err != nil {
		return fmt.Errorf("it cannot be told whether something was changed in %s (--lose-changes forgets it all the same): %w", targetOf(work), err)
	}
	if len(c.found) == 0 {
		return nil
	}
	named := strings.Join(c.found[:min(len(c.found), mostNamed)], ", ")
	if more := len(c.found) - mostNamed; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Errorf("%w: what was changed in %s since snapshot %s would be lost: %s (--lose-changes forgets it all the same)",
		wire.ErrConflict, targetOf(work), w.Snapshot, named)
}

// removeMount removes what a mount keeps, and the directory if nothing else is in it.
func removeMount(work string) error {
	for _, name := range mountKeeps {
		if err := durable.RemoveAll(filepath.Join(work, name)); err != nil {
			return err
		}
	}
	if names, err := os.ReadDir(work); err != nil || len(names) > 0 {
		return err
	}
	return durable.Remove(work)
}
