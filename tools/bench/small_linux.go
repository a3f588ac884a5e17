package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// What small works with: so many files of at most so many bytes are read, and
// the first of them unpacked.
const (
	readFiles = 28_000
	readMax   = 64 << 10
	unpacked  = 19_000
)

// smalls is a desktop of small files that are all native, and their archive.
type smalls struct {
	*bench
	point, backing, archive string
	paths                   []string
	// rounds names the folders that are unpacked into: each is a new one, and none
	// is removed before the end, since ext4 searches long for an inode that was not
	// in use just before.
	rounds int
}

// small is opening, reading and closing small native files, on a fresh mount and
// again, and unpacking an archive of them, to go-fuse's tuned loopback over the
// same directory.
func (b *bench) small(ctx context.Context) error {
	s, err := b.filled(ctx)
	if err != nil {
		return err
	}
	m := &smalls{bench: b, point: filepath.Join(s.dir, "small"), backing: filepath.Join(s.dir, "small-backing"), archive: filepath.Join(s.dir, "small.tar")}
	tree := filepath.Join(s.dir, "small-tree")
	if err := errors.Join(m.gather(tree), m.pack(ctx, tree)); err != nil {
		return err
	}
	if _, err := s.endpoint.Snapshot(ctx, "small", tree); err != nil {
		return err
	}
	mount := func() (*lab.Process, error) { return s.endpoint.Mount(ctx, "small", m.point, "--backing", m.backing) }
	if err := m.hydrate(mount); err != nil {
		return err
	}
	var ours, floor [3][]time.Duration
	for range b.runs {
		loop := func() (*lab.Process, error) { return startLoopback(ctx, filepath.Join(m.backing, "backing"), m.point) }
		if err := m.round(ctx, loop, &floor); err != nil {
			return err
		}
		if err := m.round(ctx, mount, &ours); err != nil {
			return err
		}
	}
	for i, what := range []string{"open, read and close of small native files, a fresh mount", "the same the second time", "unpacking small files into the mount"} {
		r := result{what: what + ", to go-fuse's tuned loopback (rates)", must: 1.0, aim: 1.5, more: true}
		amount := float64(len(m.paths))
		if i == 2 {
			r.aim, amount = 3, float64(min(unpacked, len(m.paths)))
		}
		b.add(r.rates(ours[i], floor[i], amount, "files/s"))
	}
	return nil
}

// gather copies small files of the tree.
func (m *smalls) gather(to string) error {
	err := filepath.WalkDir(m.tree, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() > readMax {
			return err
		}
		rel, err := filepath.Rel(m.tree, p)
		if err != nil {
			return err
		}
		if m.paths = append(m.paths, rel); len(m.paths) == readFiles {
			return errors.Join(copyFile(p, filepath.Join(to, rel)), fs.SkipAll)
		}
		return copyFile(p, filepath.Join(to, rel))
	})
	if errors.Is(err, fs.SkipAll) {
		return nil
	}
	return err
}

func copyFile(from, to string) error {
	body, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, body, 0o644)
}

// pack makes the archive.
func (m *smalls) pack(ctx context.Context, tree string) error {
	list := m.archive + ".names"
	var names []byte
	for _, p := range m.paths[:min(unpacked, len(m.paths))] {
		names = append(append(names, p...), 0)
	}
	if err := os.WriteFile(list, names, 0o600); err != nil {
		return err
	}
	_, err := lab.Run(ctx, exec.Command("tar", "-C", tree, "--null", "--verbatim-files-from", "-T", list, "-cf", m.archive))
	return err
}

// hydrate makes all files native.
func (m *smalls) hydrate(mount func() (*lab.Process, error)) error {
	p, err := mount()
	if err != nil {
		return err
	}
	_, err = m.read()
	return errors.Join(err, p.Interrupt())
}

// round mounts, reads all twice, unpacks, and unmounts.
func (m *smalls) round(ctx context.Context, mount func() (*lab.Process, error), took *[3][]time.Duration) error {
	p, err := mount()
	if err != nil {
		return err
	}
	m.rounds++
	for i, step := range []func() (time.Duration, error){m.read, m.read, func() (time.Duration, error) { return m.unpack(ctx) }} {
		d, err := step()
		if err != nil {
			return errors.Join(err, p.Interrupt())
		}
		took[i] = append(took[i], d)
		fmt.Fprintf(os.Stderr, "  small %-18d %8.2f s\n", i, d.Seconds())
	}
	return p.Interrupt()
}

// read opens, reads and closes every file.
func (m *smalls) read() (time.Duration, error) {
	buf := make([]byte, readMax+1)
	began := time.Now()
	for _, p := range m.paths {
		f, err := os.Open(filepath.Join(m.point, p))
		if err != nil {
			return 0, err
		}
		_, err = io.ReadFull(f, buf)
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return 0, errors.Join(fmt.Errorf("reading %s: %w", p, err), f.Close())
		}
		if err := f.Close(); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// unpack unpacks the archive into a new folder of the mount.
func (m *smalls) unpack(ctx context.Context) (time.Duration, error) {
	to := filepath.Join(m.point, fmt.Sprintf("unpacked-%d", m.rounds))
	if err := os.Mkdir(to, 0o755); err != nil {
		return 0, err
	}
	began := time.Now()
	_, err := lab.Run(ctx, exec.Command("tar", "-C", to, "-xf", m.archive))
	return time.Since(began), err
}
