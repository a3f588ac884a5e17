// Command tree makes the small real Debian system that tests and the demo use,
// unless it is there already, and prints its directory.
//
//	go run ./tools/tree [--cache DIR]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/looming-project/looming/tools/tree/debian"
)

func main() {
	cache := flag.String("cache", "", "the `folder` to keep it in (default looming in the user's cache)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := debian.Tree(ctx, debian.Options{Cache: *cache, Log: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, "tree:", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
