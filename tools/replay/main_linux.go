// Command replay measures the order in which prefetch brings a desktop. It
// records two days of real work in a desktop tree, learns from the first, and
// replays the second in simulated time against several orders: ours, none, by
// name, by size, at random, and the one that knows the future. It prints how long
// the programs wait, as a table in Markdown.
//
//	go run ./tools/replay --tree DIR [--work DIR] [--mbit 25] [--delay 30ms]
//
// It needs root and FUSE. What was recorded is kept in --work and not recorded
// again; the tree is not changed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/looming-project/looming/prefetch"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context) error {
	tree := flag.String("tree", "", "the `directory` that is the desktop")
	work := flag.String("work", "/var/tmp/looming-replay", "`directory` for what is recorded")
	mbit := flag.Float64("mbit", 25, "the line's `rate` in Mbit/s")
	delay := flag.Duration("delay", 30*time.Millisecond, "the line's round trip")
	flag.Parse()
	if *tree == "" {
		return errors.New("say what to work in with --tree DIR")
	}
	if err := os.MkdirAll(*work, 0o755); err != nil {
		return err
	}
	var learnt [2]*prefetch.Tally
	for i, day := range days {
		t, err := recorded(ctx, *tree, filepath.Join(*work, day.name), day)
		if err != nil {
			return fmt.Errorf("%s: %w", day.name, err)
		}
		learnt[i] = t
	}
	d, err := readDisk(*tree)
	if err != nil {
		return err
	}
	r := replay{disk: d, rate: *mbit * 1e6 / 8, delay: *delay, uses: learnt[1].Traces()[0].Uses, now: time.Now()}
	all, err := r.orders(ctx, learnt[0])
	if err != nil {
		return err
	}
	r.print(os.Stdout, all)
	return nil
}

// recorded is the tally of a day, recorded if it was not.
func recorded(ctx context.Context, tree, path string, d day) (*prefetch.Tally, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if b, err = record(ctx, tree, path+"-mount", d); err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
	}
	if err != nil {
		return nil, err
	}
	t, err := prefetch.Decode(b)
	if err == nil && len(t.Traces()) == 0 {
		err = errors.New("nothing was used")
	}
	return t, err
}
