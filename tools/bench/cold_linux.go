package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/looming-project/looming/tests/e2e/lab"
	"github.com/looming-project/looming/tools/wan/link"
)

// cold is reading the whole desktop through a mount on which nothing is here yet, to
// streaming it, over loopback.
func (b *bench) cold(ctx context.Context) error {
	s, err := b.filled(ctx)
	if err != nil {
		return err
	}
	return b.coldOf(ctx, s, s.endpoint, cvd, "over loopback")
}

// The line of coldFar, and about how many bytes its tree has.
const (
	farRate  = 20 * link.Mbit
	farDelay = 50 * time.Millisecond
	farBytes = 16 << 20
)

// coldFar is cold for a part of the tree over a slow line.
func (b *bench) coldFar(ctx context.Context) error {
	s, err := b.filled(ctx)
	if err != nil {
		return err
	}
	part := filepath.Join(s.dir, "part")
	if err := copyPart(b.tree, part, farBytes); err != nil {
		return err
	}
	if _, err := s.endpoint.Snapshot(ctx, "part", part); err != nil {
		return err
	}
	return s.overLine(ctx, func(addr string) error {
		e, err := s.enroll(ctx, b, "far", addr)
		if err != nil {
			return err
		}
		if err := s.server.Assign(ctx, "part", "far"); err != nil {
			return err
		}
		if err := b.coldOf(ctx, s, e, "part", "at 20 Mbit/s 50 ms"); err != nil {
			return err
		}
		return b.beside(ctx, s, e, part)
	})
}

// beside is how long somebody waits for a small file that is not here while another
// program reads the whole tree, and while none does.
func (b *bench) beside(ctx context.Context, s *setup, e *lab.Endpoint, part string) error {
	files, err := smallFiles(part)
	if err != nil {
		return err
	}
	var waits [2][]time.Duration
	for i := range waits {
		point, backing := filepath.Join(s.dir, "beside"), filepath.Join(s.dir, "beside-backing")
		p, err := e.Mount(ctx, "part", point, "--backing", backing)
		if err != nil {
			return err
		}
		if waits[i], err = readBeside(ctx, point, backing, files, i == 1); err != nil {
			return errors.Join(err, p.Interrupt())
		}
		if err := errors.Join(p.Interrupt(), os.RemoveAll(backing)); err != nil {
			return err
		}
	}
	for _, q := range []struct {
		what string
		of   float64
	}{{"median", 0.5}, {"90 per cent", 0.9}} {
		alone, beside := quantile(waits[0], q.of), quantile(waits[1], q.of)
		b.add(result{what: "first byte of a 4 KiB file at 20 Mbit/s 50 ms, " + q.what + ", beside a `tar`, to alone", aim: 1.2, must: 1.5, note: fmt.Sprintf("%d and %d reads", len(waits[1]), len(waits[0]))}.
			ratio([]time.Duration{beside}, []time.Duration{alone}))
	}
	return nil
}

// readBeside times reads of files that are not here, while a tar runs or none.
func readBeside(ctx context.Context, point, backing string, files []string, sweep bool) (waits []time.Duration, err error) {
	if err := shell(ctx, `find "$1" > /dev/null`, point); err != nil { // lists all
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	if sweep {
		go func() { ended <- shell(ctx, `tar -C "$1" -cf - . | cat > /dev/null`, point) }()
	}
	for _, name := range files {
		if len(waits) == reads || len(ended) > 0 {
			break
		}
		if here(filepath.Join(backing, name)) {
			continue
		}
		took, err := firstByteOf(filepath.Join(point, name))
		if err != nil {
			return waits, err
		}
		waits = append(waits, took)
		select {
		case <-time.After(readPause / 3):
		case <-ctx.Done():
			return waits, ctx.Err()
		}
	}
	stop()
	if sweep {
		<-ended // interrupted, or at its end
	}
	if len(waits) == 0 {
		return nil, errors.New("no file of about 4 KiB was not here yet: take a larger tree")
	}
	return waits, nil
}

// overLine runs fn with an address that reaches the server over a slow line.
func (s *setup) overLine(ctx context.Context, fn func(addr string) error) error {
	l, err := link.Listen("127.0.0.1:0", s.server.Listen, link.Options{Up: farRate, Down: farRate, Delay: farDelay})
	if err != nil {
		return err
	}
	lineCtx, cut := context.WithCancel(context.WithoutCancel(ctx))
	var g errgroup.Group
	g.Go(func() error { return l.Run(lineCtx) })
	err = fn(l.Addr().String())
	cut()
	return errors.Join(err, g.Wait())
}

// coldOf measures one desktop.
func (b *bench) coldOf(ctx context.Context, s *setup, e *lab.Endpoint, name, where string) error {
	var tars, finds, streams []time.Duration
	entries := 0
	target := filepath.Join(s.dir, "cold-stream")
	for range b.runs {
		o, err := timed("looming stream", func() error { return b.streamed(ctx, s, e, name, target) })
		if err != nil {
			return err
		}
		streams = append(streams, o)
		for _, m := range []struct {
			what, line string
			took       *[]time.Duration
		}{
			{"cold tar", `tar -C "$1" -cf - . | cat > /dev/null`, &tars},
			{"cold find", `find "$1" -printf '%s\n' | wc -l`, &finds},
		} {
			took, out, err := b.throughCold(ctx, s, e, name, m.what, m.line)
			if err != nil {
				return err
			}
			if m.took == &finds {
				if _, err := fmt.Sscan(string(bytes.TrimSpace(out)), &entries); err != nil {
					return fmt.Errorf("find says %q: %w", out, err)
				}
			}
			*m.took = append(*m.took, took)
		}
	}
	b.add(result{what: "`tar` of the whole cold tree through the mount, to `looming stream`, " + where + " (rates)", must: 0.9, aim: 1, more: true}.
		rates(tars, streams, float64(entries), "entries/s"))
	b.add(result{what: "cold `find` with stat, " + where + " (ms)", note: fmt.Sprintf("%d entries", entries)}.of(quantile(finds, 0.5)))
	return nil
}

// streamed streams a desktop once, and takes it away again.
func (b *bench) streamed(ctx context.Context, s *setup, e *lab.Endpoint, name, target string) error {
	p, err := e.Stream(ctx, name, target)
	if err != nil {
		return err
	}
	end, err := lab.EndStream(ctx, p)
	if err == nil && end.Phase != "native" {
		err = errors.New("the stream ended as " + end.Phase)
	}
	b.remember("streaming", p, s)
	return errors.Join(err, os.RemoveAll(target))
}

// throughCold times a command on a mount with an empty backing directory.
func (b *bench) throughCold(ctx context.Context, s *setup, e *lab.Endpoint, name, what, line string) (took time.Duration, out []byte, err error) {
	point, backing := filepath.Join(s.dir, "cold"), filepath.Join(s.dir, "cold-backing")
	p, err := e.Mount(ctx, name, point, "--backing", backing)
	if err != nil {
		return 0, nil, err
	}
	took, err = timed(what, func() (err error) {
		out, err = lab.Run(ctx, shellOf(line, point))
		return err
	})
	b.remember("reading all through the mount", p, s)
	return took, out, errors.Join(err, p.Interrupt(), os.RemoveAll(backing))
}

// copyPart copies small files of a tree, in the order of names, until there are so
// many bytes.
func copyPart(tree, to string, most int64) error {
	const small = 4 << 20
	return filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil || info.Size() > small {
			return err
		}
		rel, err := filepath.Rel(tree, path)
		if err != nil {
			return err
		}
		if most -= info.Size(); most < 0 {
			return fs.SkipAll
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o755); err != nil {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), body, 0o600)
	})
}
