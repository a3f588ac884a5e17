package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// snapshot is the first centralization, to reading all.
func (b *bench) snapshot(ctx context.Context) error {
	var ours, floor []time.Duration
	for range b.runs {
		f, err := timed("tar | cat", func() error {
			return shell(ctx, `tar --one-file-system -C "$1" -cf - . | cat >/dev/null`, b.tree)
		})
		if err != nil {
			return err
		}
		s, err := b.begin(ctx)
		if err != nil {
			return err
		}
		o, err := timed("looming snapshot", func() error { return b.upload(ctx, s, s.endpoint, cvd, b.tree, "centralizing") })
		if err != nil {
			return err
		}
		ours, floor = append(ours, o), append(floor, f)
	}
	b.add(result{what: "first centralization, to `tar \\| cat`", must: 1.8, aim: 1.3}.ratio(ours, floor))
	return nil
}

// upload runs one snapshot and remembers its memory.
func (b *bench) upload(ctx context.Context, s *setup, e *lab.Endpoint, name, tree, when string) error {
	p, err := e.StartSnapshot(name, tree)
	if err != nil {
		return err
	}
	_, err = lab.EndSnapshot(ctx, p)
	b.remember(when, p, s)
	return err
}

// unchanged is the same once more, to looking at all entries.
func (b *bench) unchanged(ctx context.Context) error {
	s, err := b.filled(ctx)
	if err != nil {
		return err
	}
	var ours, floor []time.Duration
	for range b.runs {
		f, err := timed("find with stat", func() error {
			return shell(ctx, `find "$1" -xdev -printf '%s %T@ %m %U %G %p\n' >/dev/null`, b.tree)
		})
		if err != nil {
			return err
		}
		var taken lab.Taken
		o, err := timed("looming snapshot", func() (err error) {
			taken, err = s.endpoint.Snapshot(ctx, cvd, b.tree)
			return err
		})
		if err != nil {
			return err
		}
		if taken.BytesRead > 0 {
			return fmt.Errorf("%d bytes of files were read of a tree that has not changed", taken.BytesRead)
		}
		ours, floor = append(ours, o), append(floor, f)
	}
	b.add(result{what: "the same unchanged, to `find` with stat", must: 1.9, aim: 1.0}.ratio(ours, floor))
	return nil
}

// stored is what both trees take up, with the database.
func (b *bench) stored(ctx context.Context) error {
	s, err := b.filled(ctx)
	if err != nil {
		return err
	}
	first, err := s.disk()
	if err != nil {
		return err
	}
	if b.second == "" {
		b.add(result{what: "stored bytes of the tree, with the database", ours: first.String(), note: first.parts()})
		return nil
	}
	other, err := s.enroll(ctx, b, "second", s.server.Listen)
	if err != nil {
		return err
	}
	if err := b.upload(ctx, s, other, "second", b.second, "centralizing a second machine"); err != nil {
		return err
	}
	both, err := s.disk()
	if err != nil {
		return err
	}
	r := result{what: "stored bytes of both trees, with the database (GB)", must: 2.25, aim: 2.05, value: float64(both.sum()) / 1e9}
	r.ours = both.String()
	r.note = both.parts() + fmt.Sprintf("; the second added %s to packs", human(both.packs-first.packs))
	b.add(r)
	return nil
}

// usage is what a server's data take up on the disk.
type usage struct{ packs, database, wal int64 }

func (u usage) sum() int64     { return u.packs + u.database }
func (u usage) String() string { return human(u.sum()) }
func (u usage) parts() string {
	return fmt.Sprintf("packs %s, database %s; the database's log, which is used again, %s", human(u.packs), human(u.database), human(u.wal))
}

// disk measures the data of a server that has been stopped, so that all is
// written, and starts it again.
func (s *setup) disk() (u usage, err error) {
	if err := s.server.Stop(); err != nil {
		return u, err
	}
	for dir, n := range map[string]*int64{"volume": &u.packs, "postgres": &u.database, "postgres/cluster/pg_wal": &u.wal} {
		if *n, err = blocks(filepath.Join(s.server.Data, dir)); err != nil {
			return u, err
		}
	}
	u.database -= u.wal
	return u, s.server.Start(context.Background())
}

// blocks is what a folder takes up, as du counts.
func blocks(dir string) (n int64, err error) {
	return n, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err == nil {
			n += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
}
