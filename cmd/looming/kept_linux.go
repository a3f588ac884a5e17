package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/fuse"
	"github.com/looming-project/looming/vfs/keeper"
	"github.com/spf13/cobra"
)

// kept has a command that shows desktops run in a process of its own, which this
// one starts anew when it dies: the desktops stay where they are. SIGHUP has it
// replaced by what the program is now. Only root's mounts can be kept; a service
// for which systemd stores descriptors is kept by systemd.
func kept(run running) running {
	return func(cmd *cobra.Command, args []string) error {
		if os.Geteuid() != 0 || keeper.Kept(os.Getenv) {
			return run(cmd, args)
		}
		code, err := keeper.Run(worker, keeper.Options{Log: func(format string, args ...any) {
			slog.Error(fmt.Sprintf(format, args...))
		}})
		if code != 0 || err != nil {
			err = errors.Join(err, clearDead(args))
		}
		if err != nil {
			return err
		}
		return exit.As(code)
	}
}

// clearDead removes what is left of a mount where a command showed it that died and
// is not started again.
func clearDead(args []string) error {
	if len(args) != 1 {
		return nil
	}
	dir, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	return fuse.Clear(dir)
}

// worker is this command once more, as the program is now: it may have been upgraded.
func worker() (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd, nil
}

// keptBy is the keeper of this process.
var keptBy = sync.OnceValues(func() (*keeper.Client, error) { return keeper.Connect(os.Getenv) })

// handover is what has a mount outlive this process; nil where there is no keeper.
type handover = fuse.Handover

// inherit finds what a process before this one left of the mount at dir.
func inherit(dir string) (*handover, error) {
	if !keeper.Kept(os.Getenv) {
		return nil, nil
	}
	k, err := keptBy()
	if err != nil {
		return nil, err
	}
	return fuse.Inherit(k, chunk.Sum([]byte(dir)).String()[:8])
}
