//go:build unix

package pgrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// oldest is the first major version whose features are used.
const oldest = 13

// binaries is a directory with initdb and postgres of one version.
type binaries struct {
	dir   string
	major int
}

// places are where distributions put the binaries.
var places = []string{
	"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                   // PGDG on Red Hat
	"/usr/lib/postgresql*/bin",           // SUSE, Gentoo
	"/usr/libexec/postgresql*",           // Alpine
	"/usr/local/pgsql/bin",               // from source
	"/opt/homebrew/opt/postgresql@*/bin", // macOS
}

// findBinaries returns those of the major version want, or the newest where want is 0.
func findBinaries(ctx context.Context, o Options, want int) (binaries, error) {
	found := installed(ctx, o.Bin)
	if len(found) == 0 {
		return binaries{}, fmt.Errorf("%w: install it (on Debian: apt install postgresql), or give a database of your own with --database", ErrNoBinaries)
	}
	if want == 0 {
		return found[0], nil
	}
	for _, b := range found {
		if b.major == want {
			return b, nil
		}
	}
	return binaries{}, fmt.Errorf("%w: it was made by version %d, installed is %d: install postgresql-%d, or bring the cluster over with pg_upgrade",
		ErrVersion, want, found[0].major, want)
}

// installed lists usable binaries, newest first.
func installed(ctx context.Context, only string) []binaries {
	dirs := []string{only}
	if only == "" {
		dirs = dirs[:0]
		for _, p := range places {
			match, _ := filepath.Glob(p) // the patterns are well-formed
			dirs = append(dirs, match...)
		}
		if p, err := exec.LookPath("postgres"); err == nil {
			if p, err = filepath.EvalSymlinks(p); err == nil {
				dirs = append(dirs, filepath.Dir(p))
			}
		}
	}
	var found []binaries
	for _, dir := range dirs {
		if major, err := majorOf(ctx, dir); err == nil && major >= oldest {
			found = append(found, binaries{dir, major})
		}
	}
	slices.SortStableFunc(found, func(a, b binaries) int { return b.major - a.major })
	return found
}

// majorOf asks the binaries in dir for their version.
func majorOf(ctx context.Context, dir string) (int, error) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(out)) // postgres (PostgreSQL) 15.13 (Debian ...), or 16beta1
	if len(fields) < 3 {
		return 0, fmt.Errorf("version of %s: %q", dir, out)
	}
	digits := fields[2]
	if i := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = digits[:i]
	}
	return strconv.Atoi(digits)
}

// clusterMajor reads the version that made the cluster; 0 if there is none.
func clusterMajor(data string) (int, error) {
	f, err := os.OpenFile(filepath.Join(data, "PG_VERSION"), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(data); err == nil {
			return 0, fmt.Errorf("%s has no PG_VERSION, so it is no cluster: move it away, or put back what it was", data)
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, err
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s/PG_VERSION: %w", data, err)
	}
	return v, nil
}
