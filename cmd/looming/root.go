package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/cmd/internal/settings"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/spf13/cobra"
)

// settingsFile, in the state directory, is read where no other is given.
const settingsFile = "looming.yaml"

// app is what all commands share.
type app struct {
	settings.Common
	// keep has commands that show desktops outlive the death of their process.
	keep keeping
	// dir is the state directory.
	dir      string
	out, err io.Writer
}

// running is how cobra has a command done.
type running = func(*cobra.Command, []string) error

// keeping has a command run so that what it shows outlives the death of its process.
type keeping func(running) running

// alone has a command run in this process.
func alone(run running) running { return run }

// newRoot returns the command tree.
func newRoot(keep keeping) *cobra.Command {
	a := &app{keep: keep}
	root := &cobra.Command{
		Use:     "looming",
		Version: version(),
		Short:   "the endpoint of Looming: centralizes this machine's desktop, and streams desktops here",
		Long: `looming keeps this machine's desktop on a server, and shows desktops of the server here before their files have arrived.

Exit codes: 0 ok, 1 failed, 2 usage, 3 done in part, 4 not allowed, 5 not found, 6 conflict, 7 out of reach,
8 integrity, 130 interrupted. With --output json, stdout has one document; progress goes to stderr.`,
	}
	state := settings.EndpointState()
	settings.Bind(root, &a.Common, filepath.Join(state, settingsFile))
	fill := root.PersistentPreRunE
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		a.out, a.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
		return fill(cmd, args)
	}
	root.PersistentFlags().StringVar(&a.dir, "state", state, "`directory` of the device's key, certificate and caches")
	root.AddCommand(enrollCommand(a), snapshotCommand(a), restoreCommand(a))
	root.AddCommand(more(a)...)
	return root
}

// print writes what a command has to say on stdout: doc as JSON, or what text prints.
func (a *app) print(doc any, text func()) error {
	if a.Output != settings.JSON {
		text()
		return nil
	}
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}

// withServer runs fn with a client of the server at which the device is enrolled. The device's certificate
// is renewed first if a third of its life is left.
func (a *app) withServer(cmd *cobra.Command, fn func(context.Context, *remote.Client) error) error {
	return a.withDevice(cmd, func(ctx context.Context, c *remote.Client, _ *device) error { return fn(ctx, c) })
}

func (a *app) withDevice(cmd *cobra.Command, fn func(context.Context, *remote.Client, *device) error) error {
	d, err := openDevice(a.dir)
	if err != nil {
		return err
	}
	c, err := d.client(remote.Limits{}, a.notice)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := d.renew(cmd.Context(), c); err != nil {
		if errors.Is(err, context.Canceled) {
			return err
		}
		fmt.Fprintf(a.err, "looming: %v\n", err)
	}
	return fn(cmd.Context(), c, d)
}

// invalid is an error of usage.
var invalid = exit.Usage

// version is the one that the program was built as.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
