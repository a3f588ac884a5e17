package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/looming-project/looming/pivot"
	"github.com/looming-project/looming/prefetch"
	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
	"github.com/spf13/pflag"
)

// wanted says which desktop is to be at a place. It is kept beside the backing
// directory, so that the same command goes on after a crash without a server.
type wanted struct {
	CVD      string         `json:"cvd"`
	Snapshot cvd.SnapshotID `json:"snapshot"`
	Root     cvd.Root       `json:"root"`
	Files    uint64         `json:"files"`
	Bytes    uint64         `json:"bytes"`
	// Reuse are the trees whose files are used again, where some were named.
	Reuse []string `json:"reuse,omitempty"`
}

// wantedFile and stateDir lie in the work directory.
const (
	wantedFile = "desktop.json"
	stateDir   = "state"
)

// mountKeeps is all that a mount keeps in its work directory.
var mountKeeps = []string{"backing", stateDir, socketName, progressFile, wantedFile}

// choose finds out which desktop is meant: the one that work holds already, or
// the snapshot that the server has under the names given.
func choose(ctx context.Context, c *remote.Client, work, name, snapshot string) (wanted, error) {
	path := filepath.Join(work, wantedFile)
	b, err := os.ReadFile(path)
	if err == nil {
		return begun(path, b, name, snapshot)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return wanted{}, err
	}
	if name == "" {
		if name, err = onlyCVD(ctx, c); err != nil {
			return wanted{}, err
		}
	}
	s, err := snapshotOf(ctx, c, name, snapshot)
	if err != nil {
		return wanted{}, err
	}
	w := wanted{CVD: name, Snapshot: s.ID, Root: s.Root, Files: s.Files, Bytes: s.Bytes}
	if err := durable.MkdirAll(work, 0o700); err != nil {
		return w, err
	}
	if err := os.Chmod(work, 0o700); err != nil { // placeholders are not for others to read
		return w, fmt.Errorf("keeping others out of %s: %w", work, err)
	}
	return w, w.keep(work)
}

func (w *wanted) keep(work string) error {
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(work, wantedFile), append(b, '\n'), 0o600)
}

// reusing has the same trees used again when the same desktop goes on here.
func (w *wanted) reusing(work string, paths []string) error {
	if len(paths) == 0 || slices.Equal(paths, w.Reuse) {
		return nil
	}
	w.Reuse = paths
	return w.keep(work)
}

func begun(path string, b []byte, name, snapshot string) (w wanted, err error) {
	if err := json.Unmarshal(b, &w); err != nil {
		return w, fmt.Errorf("%s: %w", path, err)
	}
	snapshot = cvd.SnapshotRef(snapshot)
	if name != "" && name != w.CVD || snapshot != "" && snapshot != "latest" && snapshot != w.Snapshot.String()[:min(len(snapshot), 16)] {
		return w, fmt.Errorf("%w: snapshot %s of %q is being streamed here: finish that, or give it up with `looming forget %s`", wire.ErrConflict, w.Snapshot, w.CVD, targetOf(filepath.Dir(path)))
	}
	return w, nil
}

// snapshotOf asks for a snapshot of a desktop; an empty id is the latest.
func snapshotOf(ctx context.Context, c *remote.Client, name, id string) (cvd.Snapshot, error) {
	s, err := c.Snapshot(ctx, name, id)
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, wire.ErrNotFound) && (id == "" || id == "latest"):
		return s, fmt.Errorf("%w: desktop %q has no snapshot yet, or is not this device's to see", wire.ErrNotFound, name)
	}
	return s, fmt.Errorf("snapshot of desktop %q: %w", name, err)
}

// onlyCVD is the desktop that is meant where none is named.
func onlyCVD(ctx context.Context, c *remote.Client) (string, error) {
	all, err := c.CVDs(ctx)
	if err != nil {
		return "", err
	}
	if len(all) == 1 {
		return all[0].Name, nil
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return "", fmt.Errorf("%w: which desktop? name one with --cvd (this device has %d: %q)", wire.ErrInvalid, len(all), names)
}

// desktop is a desktop that is shown and filled.
type desktop struct {
	wanted
	dir    string
	client *remote.Client
	f      *vfs.FS
	m      mounted
	over   *handover
	learnt *learner
	// reuse is what this disk holds already, nil if that is not asked.
	reuse *reuse
}

// mounted is what the system's host gives.
type mounted interface {
	Wait()
	Unmount() error
	Detach() error
}

// showing is how desktops are shown, by flags.
type showing struct {
	deadline time.Duration
	// noHydrate are programs for which nothing is fetched.
	noHydrate []string
	// reserve is what the background leaves free of the disk; 0 for the default.
	reserve size
}

func (s *showing) flags(f *pflag.FlagSet) {
	f.DurationVar(&s.deadline, "deadline", 30*time.Second, "how long a read waits for a server out of reach")
	f.StringArrayVar(&s.noHydrate, "no-hydrate", nil, "a `program` for which nothing is fetched, as a virus scanner: the path of its executable, its name, or cgroup:/PATH; opening a file whose content is not here fails for it with EPERM (may be repeated)")
}

// check finds what is wrong with the flags.
func (s *showing) check() error {
	if s.deadline < 0 {
		return invalid("--deadline %s: want a time, such as 30s", s.deadline)
	}
	return nil
}

// site is where a desktop is shown, and what there is for it already.
type site struct {
	backing, side, dir string
	// held, if set, is what this disk has of it, over what a process before this one showed of it.
	held *reuse
	over *handover
}

// openDesktop opens the desktop w with its backing directory and shows it. A mount
// that cannot be taken over is made anew.
func openDesktop(ctx context.Context, c *remote.Client, w wanted, at site, how showing) (*desktop, error) {
	d, err := at.open(ctx, c, w, how)
	if err == nil || !at.over.Taken() {
		return d, err
	}
	slog.Error("the mount is made anew: programs that use it must be started again", "mount", at.dir, "err", err)
	if err := at.over.Anew(); err != nil {
		return nil, err
	}
	return at.open(ctx, c, w, how)
}

// source is the server, which is not asked for what holes are made of.
func source(c *remote.Client, class remote.Class) chunk.Source {
	return chunk.First(chunk.Zeros{}, c.Source(class))
}

func (s *site) open(ctx context.Context, c *remote.Client, w wanted, how showing) (*desktop, error) {
	d := &desktop{wanted: w, dir: s.dir, client: c, over: s.over, reuse: s.held, learnt: newLearner(c, w.CVD, filepath.Join(s.side, tallyFile))}
	o := vfs.Options{
		Backing: s.backing, Side: s.side, Root: w.Root, Deadline: how.deadline, Reserve: uint64(how.reserve), Used: d.learnt.used,
		Demand: source(c, remote.Demand), Ahead: source(c, remote.Ahead), Bulk: source(c, remote.Bulk), History: past{c, w.CVD},
		Near: s.held.near(),
	}
	written(&o, s.over)
	var err error
	if d.f, err = vfs.Open(ctx, o); err != nil {
		return nil, err
	}
	if d.m, err = mountAt(d.f, s.dir, how.noHydrate, s.over, slog.Default()); err != nil {
		return nil, errors.Join(err, d.f.Close())
	}
	return d, nil
}

// close takes the desktop away and keeps what is here of it. A mount that
// programs use goes out of sight and ends with this process; until then it is
// served, so the files stay open. One that is gone by itself is not to be made anew.
func (d *desktop) close() error {
	if d.m == nil {
		return errors.Join(d.over.End(), d.f.Close())
	}
	err := d.m.Unmount()
	if err == nil {
		return d.f.Close()
	}
	return errors.Join(err, d.m.Detach(), d.f.Settle())
}

// Verify implements pivot.Verifier.
func (d *desktop) Verify(ctx context.Context, _ string) error {
	if err := d.f.Settle(); err != nil {
		return err
	}
	rest, err := d.f.Remaining(ctx)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: %d or more, first %q", pivot.ErrNotNative, len(rest), rest[0])
	}
	return nil
}

// Unmount implements pivot.Unmounter.
func (d *desktop) Unmount(context.Context) error { return d.m.Unmount() }

// plan is the order in which the rest is to come.
func (d *desktop) plan(ctx context.Context, now time.Time) (p *prefetch.Plan, learnt bool) {
	t := d.learnt.known(ctx, now)
	start := t.StartSet()
	p = prefetch.NewPlan(tree{d.f}, t, start, now)
	d.learnt.plan.Store(p)
	return p, len(start) > 0
}
