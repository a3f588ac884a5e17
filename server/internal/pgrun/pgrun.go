package pgrun

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
)

// Options say where Postgres runs. Dir must be set, to an absolute path.
type Options struct {
	// Dir is made where it is missing.
	Dir string
	// Bin is the directory of the binaries; empty: the newest installed that fits.
	Bin string
	// Settings go into looming.conf over the package's own, such as {"fsync": "off"} in tests.
	Settings map[string]string
	Log      *slog.Logger // nil: slog.Default()
}

// What keeps Postgres from running, for errors.Is. The messages say what to do.
var (
	ErrNoBinaries = errors.New("PostgreSQL is not installed")
	ErrVersion    = errors.New("the cluster belongs to another version of PostgreSQL")
	ErrOwner      = fmt.Errorf("wrong owner or permissions: %w", fs.ErrPermission)
	ErrFull       = errors.New("no space left for Postgres")
	ErrPlatform   = errors.New("a private Postgres needs Linux or another Unix")
)
