// Command wan is a line of the wide area network on this machine: it carries
// TCP connections to another address at a rate and with a delay.
//
//	go run ./tools/wan --to 127.0.0.1:8443 --rate 20mbit --delay 50ms
//
// It prints the address to connect to as the first line on stdout. Commands
// are read from stdin, one a line: cut, cut reset, restore, stall 5s, wait 10s,
// rate 1mbit, rate 1mbit 8mbit (up and down), delay 80ms, delay 80ms 20ms (with
// jitter), loss 0.01, stats. A file of them is a script: wan ... < FILE. It ends
// when it is interrupted, or when stdin ends if --stdin is given.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/looming-project/looming/tools/wan/link"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	switch {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "wan:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

type settings struct {
	listen, to string
	options    link.Options
	pattern    stallPattern
	stdin      bool
}

func parse(args []string) (settings, error) {
	s := settings{}
	var rate link.Rate
	flags := flag.NewFlagSet("wan", flag.ContinueOnError)
	flags.StringVar(&s.listen, "listen", "127.0.0.1:0", "the `address` to connect to; port 0 picks one")
	flags.StringVar(&s.to, "to", "", "the `address` to carry connections to")
	flags.Var(&rate, "rate", "the `rate` of both directions, such as 20mbit")
	flags.Var(&s.options.Up, "up", "the `rate` from clients to the server, if it differs")
	flags.Var(&s.options.Down, "down", "the `rate` from the server to clients, if it differs")
	flags.DurationVar(&s.options.Delay, "delay", 0, "the round-trip `time`, half in each direction")
	flags.DurationVar(&s.options.Jitter, "jitter", 0, "up to so much more `time` in each direction")
	flags.Float64Var(&s.options.Loss, "loss", 0, "the `part` of what is sent that comes a round trip late, as what was lost does")
	flags.BoolVar(&s.options.Single, "single", false, "one queue for all connections in each direction, not one for each")
	flags.IntVar(&s.options.Buffer, "buffer", 0, "`bytes` that wait in each direction (default two round trips at the rate)")
	flags.Var(&s.pattern, "stall", "stall for a time once in a time, as in `2s/30s`")
	flags.BoolVar(&s.stdin, "stdin", false, "end when stdin ends")
	if err := flags.Parse(args); err != nil {
		return s, errUsage
	}
	if s.to == "" || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "wan: say where to carry connections, as in --to 127.0.0.1:8443")
		return s, errUsage
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["up"] {
		s.options.Up = rate
	}
	if !given["down"] {
		s.options.Down = rate
	}
	return s, nil
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	l, err := link.Listen(s.listen, s.to, s.options)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, l.Addr())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.Run(ctx) })
	group.Go(func() error { return s.pattern.run(ctx, l) })
	// A read of stdin cannot be interrupted, so it is not waited for.
	go func() {
		obey(ctx, l, in, out)
		if s.stdin {
			cancel()
		}
	}()
	return group.Wait()
}
