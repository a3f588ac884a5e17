package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// native is reading a native file of 1 GiB through the mount, to beneath it.
func (b *bench) native(ctx context.Context) error {
	s, err := b.filled(ctx)
	if err != nil {
		return err
	}
	one := filepath.Join(s.dir, "one")
	if err := gibibyte(one); err != nil {
		return err
	}
	if _, err := s.endpoint.Snapshot(ctx, "one", one); err != nil {
		return err
	}
	target := filepath.Join(s.dir, "desk-one")
	p, err := s.endpoint.Stream(ctx, "one", target, "--no-pivot")
	if err != nil {
		return err
	}
	err = b.throughMount(ctx, s, p, target)
	return errors.Join(err, p.Interrupt(), os.RemoveAll(lab.Work(target)), os.RemoveAll(one))
}

func (b *bench) throughMount(ctx context.Context, s *setup, p *lab.Process, target string) error {
	for {
		if st, err := s.endpoint.Status(ctx, target); err != nil || st.Phase == "filled" {
			if err != nil {
				return err
			}
			break
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-p.Ended():
			return errors.New("the stream ended before all was here: " + p.Said())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	through, beneath := filepath.Join(target, "gibibyte"), filepath.Join(lab.Work(target), "backing", "gibibyte")
	var ours, floor []time.Duration
	for i := range 2*b.runs + 1 {
		f, err := readWhole(beneath)
		if err != nil {
			return err
		}
		o, err := readWhole(through)
		if err != nil {
			return err
		}
		if i > 0 { // the first brought it into memory
			ours, floor = append(ours, o), append(floor, f)
		}
	}
	r := result{what: "reading a native 1 GiB file through the mount, to beneath (rates)", must: 0.8, aim: 0.95, more: true}.rates(ours, floor, 1<<30/1e6, "MB/s")
	b.add(r)
	return nil
}

// gibibyte makes a folder with a file of 1 GiB that does not compress.
func gibibyte(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "gibibyte"))
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), 1<<30)
	return errors.Join(err, f.Close())
}

func readWhole(path string) (time.Duration, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	began := time.Now()
	for {
		if _, err := f.Read(buf); err == io.EOF {
			return time.Since(began), nil
		} else if err != nil {
			return 0, err
		}
	}
}
