// Command bench measures the figures that Looming promises, each as a ratio to
// its floor in the same run, and prints them as a table in Markdown.
//
//	go run ./tools/bench --tree DIR [--second DIR] [--runs 3] [--only snapshot,unchanged,...]
//
// It needs root, a machine that does nothing else, and room for four times the
// tree below --work. Page caches are dropped before every timed run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/looming-project/looming/tests/e2e/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// start is the benchmark, or the floor of one that runs as its own process.
func start(ctx context.Context) error {
	if len(os.Args) == 4 && os.Args[1] == "loopback" {
		return loopback(ctx, os.Args[2], os.Args[3])
	}
	b := bench{}
	var only string
	flag.StringVar(&b.tree, "tree", "", "the `directory` that is the desktop")
	flag.StringVar(&b.second, "second", "", "the `directory` of a similar machine, for stored and reuse")
	flag.StringVar(&b.work, "work", "/var/tmp/looming-bench", "`directory` for everything that is made")
	flag.IntVar(&b.runs, "runs", 3, "`how often` each is measured; the median counts")
	flag.StringVar(&only, "only", "", "`rows` to measure, by name: "+strings.Join(names(), ",")+"; link2, link20, link100 and tenfold only if named")
	flag.Parse()
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	if err := b.check(); err != nil {
		return err
	}
	err = b.measure(ctx, chosen)
	return errors.Join(err, b.end())
}

// row is one figure, or a few that are measured together.
type row struct {
	name    string
	measure func(*bench, context.Context) error
	// asked says that it takes long, and is measured only where it is named.
	asked bool
}

var rows = []row{
	{name: "snapshot", measure: (*bench).snapshot},
	{name: "unchanged", measure: (*bench).unchanged},
	{name: "stored", measure: (*bench).stored},
	{name: "stream", measure: (*bench).stream},
	{name: "reuse", measure: (*bench).reuse},
	{name: "firstbyte", measure: (*bench).firstByte},
	{name: "coldstart", measure: (*bench).coldStart},
	{name: "link2", measure: (*bench).link2, asked: true},
	{name: "link20", measure: (*bench).link20, asked: true},
	{name: "link100", measure: (*bench).link100, asked: true},
	{name: "native", measure: (*bench).native},
	{name: "walk", measure: (*bench).walk},
	{name: "cold", measure: (*bench).cold},
	{name: "coldfar", measure: (*bench).coldFar},
	{name: "small", measure: (*bench).small},
	{name: "tenfold", measure: (*bench).tenfold, asked: true},
}

func names() (all []string) {
	for _, r := range rows {
		all = append(all, r.name)
	}
	return all
}

// choose returns the rows named, in the order of all rows: what a later one
// stores is not to count in an earlier one.
func choose(only string) ([]row, error) {
	wanted := strings.Split(only, ",")
	if only == "" {
		return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.asked }), nil
	}
	for _, name := range wanted {
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("--only %s: the rows are %s", name, strings.Join(names(), ", "))
		}
	}
	var chosen []row
	for _, r := range rows {
		if slices.Contains(wanted, r.name) {
			chosen = append(chosen, r)
		}
	}
	return chosen, nil
}

func (b *bench) check() error {
	if os.Geteuid() != 0 {
		return errors.New("it mounts file systems and drops caches: run it as root")
	}
	if b.tree == "" || b.runs < 1 {
		return errors.New("say what to measure with --tree DIR, and --runs of at least 1")
	}
	for _, dir := range []*string{&b.tree, &b.second, &b.work} {
		if *dir == "" {
			continue
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		// A link at the top would be all that is measured.
		if real, err := filepath.EvalSymlinks(abs); err == nil {
			abs = real
		}
		*dir = abs
	}
	return nil
}

// measure takes the rows one after another, and prints what there is even if
// one fails.
func (b *bench) measure(ctx context.Context, chosen []row) (err error) {
	if err := os.MkdirAll(b.work, 0o755); err != nil {
		return err
	}
	if b.programs, err = lab.Build(ctx, filepath.Join(b.work, "bin")); err != nil {
		return err
	}
	for _, r := range chosen {
		fmt.Fprintf(os.Stderr, "%s\n", r.name)
		if err = r.measure(b, ctx); err != nil {
			err = fmt.Errorf("%s: %w", r.name, err)
			break
		}
	}
	b.print(os.Stdout)
	return err
}
