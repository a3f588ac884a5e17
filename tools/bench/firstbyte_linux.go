package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// The reads that are timed, and the pause between them in which only the
// prefetch works.
const (
	reads     = 100
	readPause = 150 * time.Millisecond
)

// firstByte is how long a program waits for a small file that is not here,
// over a slow line that the prefetch fills.
func (b *bench) firstByte(ctx context.Context) error {
	s, err := b.filled(ctx)
	if err != nil {
		return err
	}
	var waits []time.Duration
	err = s.overLine(ctx, func(addr string) (err error) {
		waits, err = b.prefetched(ctx, s, addr)
		return err
	})
	if err != nil {
		return err
	}
	note := fmt.Sprintf("%d reads", len(waits))
	b.add(result{what: "first byte of a 4 KiB file at 20 Mbit/s 50 ms, prefetch running: median (ms)", must: 150, aim: 55, note: note}.of(quantile(waits, 0.5)))
	b.add(result{what: "the same, 99 per cent (ms)", must: 300, aim: 55, note: note}.of(quantile(waits, 0.99)))
	return nil
}

// prefetched reads while a desktop is streamed from the server at addr.
func (b *bench) prefetched(ctx context.Context, s *setup, addr string) ([]time.Duration, error) {
	e, err := s.enroll(ctx, b, "afar", addr)
	if err != nil {
		return nil, err
	}
	if err := s.server.Assign(ctx, cvd, "afar"); err != nil {
		return nil, err
	}
	files, err := smallFiles(b.tree)
	if err != nil {
		return nil, err
	}
	target := filepath.Join(s.dir, "slow")
	p, err := e.Stream(ctx, cvd, target)
	if err != nil {
		return nil, err
	}
	waits, err := waitFilling(ctx, e, p, target)
	if err == nil {
		waits, err = readAll(ctx, p, target, files)
	}
	return waits, errors.Join(err, p.Interrupt())
}

// waitFilling waits until directories are listed and files come.
func waitFilling(ctx context.Context, e *lab.Endpoint, p *lab.Process, target string) ([]time.Duration, error) {
	for {
		if st, err := e.Status(ctx, target); err != nil || st.Phase == "filling" {
			return nil, err
		}
		select {
		case <-time.After(time.Second):
		case <-p.Ended():
			return nil, errors.New("the stream ended before files came: " + p.Said())
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// smallFiles are files of about 4 KiB, in an order that has nothing to do with
// the one in which they come.
func smallFiles(tree string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Size() > 3<<10 && info.Size() <= 5<<10 {
			path, err = filepath.Rel(tree, path)
			found = append(found, path)
		}
		return err
	})
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	return found, err
}

// readAll times the first byte of files that are not here.
func readAll(ctx context.Context, p *lab.Process, target string, files []string) ([]time.Duration, error) {
	var waits []time.Duration
	for _, name := range files {
		if len(waits) == reads {
			break
		}
		if here(filepath.Join(lab.Work(target), "backing", name)) {
			continue
		}
		took, err := firstByteOf(filepath.Join(target, name))
		if err != nil {
			return waits, err
		}
		waits = append(waits, took)
		select {
		case <-time.After(readPause):
		case <-p.Ended():
			return waits, nil
		case <-ctx.Done():
			return waits, ctx.Err()
		}
	}
	if len(waits) < reads/2 {
		return waits, fmt.Errorf("only %d files of about 4 KiB were not here yet: take a larger tree", len(waits))
	}
	return waits, nil
}

// here says whether a file of the backing directory has content.
func here(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Sys().(*syscall.Stat_t).Blocks > 0
}

func firstByteOf(path string) (time.Duration, error) {
	began := time.Now()
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var b [1]byte
	_, err = f.Read(b[:])
	return time.Since(began), err
}
