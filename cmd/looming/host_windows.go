package main

import (
	"log/slog"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/winfsp"
)

// mountAt shows a desktop at a directory or a drive letter.
func mountAt(f *vfs.FS, dir string, noHydrate []string, _ *handover, log *slog.Logger) (mounted, error) {
	if len(noHydrate) > 0 {
		return nil, invalid("--no-hydrate: programs cannot be told apart on Windows yet")
	}
	return winfsp.New(f, dir, winfsp.Options{Log: log})
}

// WinFsp ends a mount with the process that serves it: there is nothing to hand over.
type handover struct{}

func (*handover) Taken() bool     { return false }
func (*handover) Place() string   { return "" }
func (*handover) SetPlace(string) {}
func (*handover) Anew() error     { return nil }
func (*handover) End() error      { return nil }
func (*handover) Close() error    { return nil }

func inherit(string) (*handover, error) { return nil, nil }

func written(*vfs.Options, *handover) {}

func kept(run running) running { return run }
