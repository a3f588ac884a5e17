package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// walk is find with stat over a listed tree, on a fresh mount and again, to a
// tuned loopback of go-fuse over the tree itself.
func (b *bench) walk(ctx context.Context) error {
	s, err := b.filled(ctx)
	if err != nil {
		return err
	}
	point, backing := filepath.Join(s.dir, "walk"), filepath.Join(s.dir, "walk-backing")
	mount := func() (*lab.Process, error) {
		return s.endpoint.Mount(ctx, cvd, point, "--backing", backing)
	}
	if _, _, _, err := walks(ctx, point, mount); err != nil { // lists the tree
		return err
	}
	var ours, floor [2][]time.Duration
	entries := 0
	for range b.runs {
		for _, m := range []struct {
			mount func() (*lab.Process, error)
			took  *[2][]time.Duration
		}{{func() (*lab.Process, error) { return startLoopback(ctx, b.tree, point) }, &floor}, {mount, &ours}} {
			n, fresh, warm, err := walks(ctx, point, m.mount)
			if err != nil {
				return err
			}
			entries = n
			m.took[0], m.took[1] = append(m.took[0], fresh), append(m.took[1], warm)
		}
	}
	for i, when := range []string{"a fresh mount", "the second time"} {
		b.add(result{what: "`find` with stat over a listed tree, " + when + ", to go-fuse's tuned loopback (rates)", must: 1.0, aim: 1.5, more: true}.
			rates(ours[i], floor[i], float64(entries), "entries/s"))
	}
	return nil
}

// walks mounts, walks twice, and unmounts.
func walks(ctx context.Context, point string, mount func() (*lab.Process, error)) (n int, fresh, warm time.Duration, err error) {
	p, err := mount()
	if err != nil {
		return 0, 0, 0, err
	}
	if n, fresh, err = find(ctx, point); err == nil {
		_, warm, err = find(ctx, point)
	}
	return n, fresh, warm, errors.Join(err, p.Interrupt())
}

func find(ctx context.Context, dir string) (n int, took time.Duration, err error) {
	began := time.Now()
	out, err := lab.Run(ctx, exec.Command("find", dir, "-printf", `%s %m %U\n`))
	took = time.Since(began)
	n = bytes.Count(out, []byte("\n"))
	fmt.Fprintf(os.Stderr, "  %-24s %8.2f s  %d entries\n", "find", took.Seconds(), n)
	return n, took, err
}

// startLoopback runs the loopback as a process of its own until it is mounted.
func startLoopback(ctx context.Context, tree, point string) (*lab.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(point, 0o755); err != nil {
		return nil, err
	}
	p, err := lab.Start(exec.Command(self, "loopback", tree, point))
	if err != nil {
		return nil, err
	}
	for !lab.Mounted(point) {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-p.Ended():
			_, err := p.Wait(ctx)
			return nil, errors.Join(errors.New("the loopback did not mount"), err)
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), p.Interrupt())
		}
	}
	return p, nil
}
