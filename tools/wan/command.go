package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/looming-project/looming/tools/wan/link"
)

// obey carries out commands from in, one a line, until its end. It answers
// each on out with ok, a result, or what is wrong.
func obey(ctx context.Context, l *link.Link, in io.Reader, out io.Writer) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		answer, err := command(ctx, l, words)
		if err != nil {
			answer = "error: " + err.Error()
		}
		fmt.Fprintln(out, answer)
	}
}

// commands are what can be said to a link, by their first word.
var commands = map[string]struct {
	args string
	do   func(ctx context.Context, l *link.Link, args []string) error
}{
	"cut":     {"[reset]", cut},
	"restore": {"", func(_ context.Context, l *link.Link, _ []string) error { return l.Restore() }},
	"stall": {"TIME", func(ctx context.Context, l *link.Link, args []string) error {
		return timed(args, func(d time.Duration) error { return l.Stall(ctx, d) })
	}},
	"wait": {"TIME", func(ctx context.Context, _ *link.Link, args []string) error {
		return timed(args, func(d time.Duration) error { return pause(ctx, d) })
	}},
	"rate":  {"RATE [DOWN]", setRate},
	"delay": {"TIME [JITTER]", setDelay},
	"loss":  {"PART", setLoss},
}

var errArguments = errors.New("the wrong arguments")

// command carries out one command and gives its answer.
func command(ctx context.Context, l *link.Link, words []string) (string, error) {
	if words[0] == "stats" {
		s := l.Stats()
		return fmt.Sprintf("up %d down %d open %d opened %d", s.Up, s.Down, s.Open, s.Opened), nil
	}
	c, known := commands[words[0]]
	if !known {
		return "", fmt.Errorf("%q is none of: %s stats", words[0], strings.Join(slices.Sorted(maps.Keys(commands)), " "))
	}
	if err := c.do(ctx, l, words[1:]); err != nil {
		if errors.Is(err, errArguments) {
			err = fmt.Errorf("%w: say %s %s", err, words[0], c.args)
		}
		return "", err
	}
	return "ok", nil
}

func cut(_ context.Context, l *link.Link, args []string) error {
	switch strings.Join(args, " ") {
	case "":
		l.Cut(link.Silent)
	case "reset":
		l.Cut(link.Reset)
	default:
		return errArguments
	}
	return nil
}

func timed(args []string, do func(time.Duration) error) error {
	if len(args) != 1 {
		return errArguments
	}
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	return do(d)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// setRate takes one rate for both directions, or one for each.
func setRate(_ context.Context, l *link.Link, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return errArguments
	}
	up, err := link.ParseRate(args[0])
	if err != nil {
		return err
	}
	down, err := link.ParseRate(args[len(args)-1])
	if err == nil {
		l.SetRate(up, down)
	}
	return err
}

func setDelay(_ context.Context, l *link.Link, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return errArguments
	}
	var times [2]time.Duration
	for i, arg := range args {
		var err error
		if times[i], err = time.ParseDuration(arg); err != nil {
			return err
		}
	}
	l.SetDelay(times[0], times[1])
	return nil
}

func setLoss(_ context.Context, l *link.Link, args []string) error {
	if len(args) != 1 {
		return errArguments
	}
	part, err := strconv.ParseFloat(args[0], 64)
	if err != nil || part < 0 || part >= 1 {
		return fmt.Errorf("loss %q: want a part of one, such as 0.01", args[0])
	}
	l.SetLoss(part)
	return nil
}

// A stallPattern is how long a link stalls, and from one stall to the next.
type stallPattern struct{ length, period time.Duration }

func (p *stallPattern) String() string {
	return fmt.Sprintf("%v/%v", p.length, p.period)
}

// Set makes a *stallPattern a flag.Value.
func (p *stallPattern) Set(s string) error {
	length, period, _ := strings.Cut(s, "/")
	var err, perr error
	p.length, err = time.ParseDuration(length)
	p.period, perr = time.ParseDuration(period)
	if err := errors.Join(err, perr); err != nil {
		return err
	}
	if p.length <= 0 || p.period <= p.length {
		return fmt.Errorf("%q: the first time must be shorter than the second, as in 2s/30s", s)
	}
	return nil
}

// run stalls l by the pattern until ctx is done.
func (p *stallPattern) run(ctx context.Context, l *link.Link) error {
	if p.period == 0 {
		return nil
	}
	ticker := time.NewTicker(p.period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := l.Stall(ctx, p.length); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}
