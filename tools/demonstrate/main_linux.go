// Command demonstrate shows the main job on this machine: a server keeps a
// desktop, a second machine streams it over a slow line, opens files before
// they are there, and in the end its directory is the desktop.
//
//	tools/demo [--keep] [--fresh] [DIR]
//
// DIR is the desktop; without it, a small Debian that it makes ready, or
// /usr/share where it may not make one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	d := demo{screen: newScreen(os.Stdout)}
	flag.BoolVar(&d.keep, "keep", false, "leave the server and its console running until Enter or Ctrl-C")
	flag.BoolVar(&d.fresh, "fresh", false, "forget what earlier runs left")
	flag.Usage = usage
	flag.Parse()
	if flag.NArg() > 1 {
		usage()
		os.Exit(2)
	}
	d.dir = flag.Arg(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := d.run(ctx)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted:
		d.screen.say("\nInterrupted. Everything was taken down; the next run goes on from here.")
		os.Exit(130)
	case errors.Is(err, errShown):
		os.Exit(1)
	case err != nil:
		d.screen.end()
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

// errShown is an end in failure that the screen has told already.
var errShown = errors.New("shown")

func usage() {
	fmt.Fprintln(os.Stderr, `usage: tools/demo [--keep] [--fresh] [DIR]

Centralizes the directory DIR, streams it to a second endpoint over a line of
20 Mbit/s and 50 ms, and pivots. DIR defaults to a small Debian that it makes.`)
	flag.PrintDefaults()
}
