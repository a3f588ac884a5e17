package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
	"github.com/spf13/cobra"
)

// restoring is one run of `looming restore`.
type restoring struct {
	*app
	cvd, snapshot, to string
	paths, reuse      []string
}

// restored is what `looming restore --output json` prints.
type restored struct {
	Snapshot cvd.SnapshotID `json:"snapshot"`
	CVD      string         `json:"cvd"`
	// Restored are the paths at which files and directories are now.
	Restored []string `json:"restored"`
	Files    uint64   `json:"files"`
	Dirs     uint64   `json:"dirs"`
	Bytes    uint64   `json:"bytes"`
	// FromDisk is what this disk held already, Crossed what came over the network.
	FromDisk uint64  `json:"from_disk"`
	Crossed  uint64  `json:"crossed"`
	Seconds  float64 `json:"seconds"`
	// Failed are files that could not be restored, or not with all their attributes; up to 1000 of them.
	Failed []unreadable `json:"failed"`
}

func restoreCommand(a *app) *cobra.Command {
	r := &restoring{app: a}
	cmd := &cobra.Command{
		Use:   "restore PATH...",
		Short: "get files and directories back from a snapshot",
		Long: `restore writes each PATH of a snapshot, with all that is below it and all attributes, into the directory --to under
its last name; PATH is as in the snapshot, from its root on. The root itself, /, becomes the directory --to. Nothing that
exists is overwritten. A path appears when all of it is there and on the disk. In a mount, MOUNTPOINT/.snapshots has
the same snapshots under their names, for any program to read.

What this disk holds already is not fetched: files, and parts of files, of the trees that --reuse names are used again,
whatever their names, and verified. These are looked through first; without --reuse, what is known from earlier is used.

With --output json the document has snapshot, cvd, restored (paths), files, dirs, bytes, from_disk, crossed, seconds and
failed.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.paths = args
			return a.withDevice(cmd, r.run)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.cvd, "cvd", "", "the desktop's `name` (default: the device's)")
	f.StringVar(&r.snapshot, "snapshot", "", snapshotUsage)
	f.StringArrayVar(&r.reuse, "reuse", nil, "`directory` whose files are used again, such as /; may be repeated; none: nothing is")
	f.StringVar(&r.to, "to", ".", "`directory` into which it is written")
	return cmd
}

func (r *restoring) run(ctx context.Context, c *remote.Client, d *device) error {
	began := time.Now()
	if r.cvd == "" {
		r.cvd = d.Name
	}
	snap, err := snapshotOf(ctx, c, r.cvd, r.snapshot)
	if err != nil {
		return err
	}
	p := r.newProgress()
	defer p.end()
	held, err := r.held(ctx)
	if err != nil {
		return err
	}
	defer held.close()
	w := &restorer{src: chunk.First(held.near(), source(c, remote.Bulk)), held: held, began: began, shown: p, doc: restored{Snapshot: snap.ID, CVD: r.cvd, Restored: []string{}, Failed: []unreadable{}}}
	top, err := cvd.ReadRoot(ctx, w.src, snap.Root)
	if err != nil {
		return err
	}
	for _, name := range r.paths {
		e, err := find(ctx, w.src, top, name)
		if err == nil {
			err = w.restore(ctx, e, path.Clean("/"+filepath.ToSlash(name)), r.to)
		}
		if err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
	}
	p.end()
	w.doc.Seconds = time.Since(began).Seconds()
	w.doc.FromDisk += held.Given()
	w.doc.Crossed, _ = c.Crossed(remote.Bulk)
	err = r.print(w.doc, func() {
		fmt.Fprintf(r.out, "restored %s files (%s; %s over the network, %s from this disk) from snapshot %s in %.1f s\n",
			humanize.Comma(int64(w.doc.Files)), humanize.Bytes(w.doc.Bytes), humanize.Bytes(w.doc.Crossed), humanize.Bytes(w.doc.FromDisk),
			w.doc.Snapshot, w.doc.Seconds)
	})
	if err == nil && len(w.doc.Failed) > 0 {
		return exit.Reported(w.failed)
	}
	return err
}

// held opens what this disk holds already. Trees that were named are indexed now, for nothing goes on beside.
func (r *restoring) held(ctx context.Context) (*reuse, error) {
	held, err := r.openReuse(r.reuse, "")
	if err != nil || len(r.reuse) == 0 {
		return held, err
	}
	if err := held.run(ctx, func(ctx context.Context) error { return ctx.Err() }); err != nil {
		return nil, errors.Join(err, held.close())
	}
	return held, ctx.Err()
}

// find looks a path of a snapshot up.
func find(ctx context.Context, src chunk.Source, at *cvd.Entry, name string) (*cvd.Entry, error) {
	read := func(ctx context.Context, id chunk.ID) (*cvd.Node, error) { return cvd.ReadNode(ctx, src, id) }
	for part := range strings.SplitSeq(strings.Trim(path.Clean("/"+filepath.ToSlash(name)), "/"), "/") {
		if part == "" {
			continue
		}
		if at.Type != cvd.Dir {
			return nil, fmt.Errorf("%w: %q is no directory", wire.ErrNotFound, at.Name)
		}
		e, err := cvd.Find(ctx, read, at.Tree, part)
		if err != nil {
			return nil, err
		}
		if at = e; at == nil {
			return nil, fmt.Errorf("%w: the snapshot has no %q there", wire.ErrNotFound, part)
		}
	}
	return at, nil
}

// restorer writes entries of a snapshot to disk.
type restorer struct {
	src   chunk.Source
	held  *reuse
	began time.Time
	shown *progress
	doc   restored
	// path is what is being restored, as the snapshot has it, aside where it is written.
	path, aside string
	// failed is ErrPart, or what is worse.
	failed error
}

// restore writes e, which the snapshot has at path, and what is below it, into the directory to. It is written aside and
// appears when it is complete.
func (w *restorer) restore(ctx context.Context, e *cvd.Entry, path, to string) error {
	to, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	final := filepath.Join(to, e.Name)
	if err := w.free(final, e); err != nil {
		return err
	}
	dir := filepath.Dir(final)
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(dir, ".restoring-")
	if err != nil {
		return err
	}
	defer func() { _ = durable.RemoveAll(aside) }() // what is left of it has no use, and says so by its name
	disk, err := durable.OpenFS(aside)
	if err != nil {
		return err
	}
	defer disk.Close()
	named := *e
	named.Name = "entry"
	w.path, w.aside = path, filepath.Join(aside, named.Name)
	if err := w.write(ctx, aside, &named); err != nil {
		return err
	}
	if err := disk.Sync(); err != nil {
		return err
	}
	rename := durable.RenameNoReplace
	if e.Name == "" {
		rename = durable.Rename // over an empty directory
	}
	if err := rename(w.aside, final); err != nil {
		return err
	}
	w.doc.Restored = append(w.doc.Restored, final)
	return nil
}

// free fails if the place is taken; for the root an empty directory will do.
func (w *restorer) free(final string, e *cvd.Entry) error {
	_, err := os.Lstat(final)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && e.Name == "" {
		var names []os.DirEntry
		if names, err = os.ReadDir(final); err == nil && len(names) == 0 {
			return nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: %s exists: move it away, or choose another directory with --to", wire.ErrConflict, final)
	}
	return err
}

// inSnapshot is the path in the snapshot of what is written at name.
func (w *restorer) inSnapshot(name string) string {
	return path.Join(w.path, filepath.ToSlash(strings.TrimPrefix(name, w.aside)))
}

// fail notes what could not be written.
func (w *restorer) fail(name string, err error) {
	name = w.inSnapshot(name)
	if len(w.doc.Failed) < unreadableMost {
		w.doc.Failed = append(w.doc.Failed, unreadable{printable(name), err.Error()})
	}
	if w.failed == nil || exit.Code(err) == exit.Integrity {
		w.failed = err
		if exit.Code(err) != exit.Integrity {
			w.failed = exit.ErrPart
		}
	}
	w.shown.say("looming: cannot restore %s: %v", printable(name), err)
}

// count shows how far it is.
func (w *restorer) count(e *cvd.Entry) {
	if e.Type == cvd.Dir {
		w.doc.Dirs++
		return
	}
	w.doc.Files++
	w.doc.Bytes += e.Size
}
