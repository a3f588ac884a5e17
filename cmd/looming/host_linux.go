package main

import (
	"log/slog"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/fuse"
)

// mountAt shows a desktop at a directory, or goes on showing it. For some programs
// nothing is fetched.
func mountAt(f *vfs.FS, dir string, noHydrate []string, over *handover, log *slog.Logger) (mounted, error) {
	o := fuse.Options{Log: log, Handover: over}
	for _, program := range noHydrate {
		if o.Bars == nil {
			o.Bars = &fuse.Bars{}
		}
		if err := o.Bars.Bar(program); err != nil {
			return nil, invalid("--no-hydrate: %w", err)
		}
	}
	return fuse.New(f, dir, o)
}

// written has the core write down what over must know.
func written(o *vfs.Options, over *handover) {
	if over != nil {
		o.Ledger, o.Nameless = over.Ledger(), over
	}
}
