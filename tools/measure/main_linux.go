// Command measure computes, without a server, what trees cost to keep under
// other numbers than those that FORMAT.md fixes: cut sizes by file type, the
// whole-file limit, encode levels, the inline limit and the size of tree nodes.
//
//	go run ./tools/measure cuts   TREE...     chunks and frame bytes by type, size and cut
//	go run ./tools/measure levels TREE...     frame bytes and CPU seconds by type and level
//	go run ./tools/measure nodes  TREE...     node and inline bytes by inline limit and node size
//	go run ./tools/measure total  TREE...     what the numbers as they stand cost
//
// The first tree is stored, then each of the others is added to it. Tables go
// to stdout, tab-separated. It uses one core; it reads as root, or leaves out
// what it may not read.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
)

var verbs = map[string]func(*corpus, *table) error{
	"cuts": cuts, "levels": levels, "nodes": nodes, "total": totals,
}

func main() {
	sample := flag.Int("sample", 1, "take one file in `n`")
	only := flag.String("class", "", "take files of this type only")
	flag.Parse()
	verb, ok := verbs[flag.Arg(0)]
	if !ok || flag.NArg() < 2 {
		fmt.Fprintln(os.Stderr, "usage: measure [-sample N] [-class TYPE] cuts|levels|nodes|total TREE...")
		os.Exit(2)
	}
	runtime.GOMAXPROCS(1)
	runtime.LockOSThread() // CPU seconds are this thread's
	if err := run(verb, flag.Args()[1:], *sample, *only); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run(verb func(*corpus, *table) error, trees []string, sample int, only string) error {
	c, err := collect(trees, sample, only)
	if err != nil {
		return err
	}
	t := newTable()
	if err := verb(c, t); err != nil {
		return err
	}
	return t.print(os.Stdout)
}
