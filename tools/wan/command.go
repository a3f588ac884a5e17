package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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

func command(ctx context.Context, l *link.Link, words []string) (string, error) {
	switch line := strings.Join(words, " "); {
	case line == "cut":
		l.Cut(link.Silent)
	case line == "cut reset":
		l.Cut(link.Reset)
	case line == "restore":
		return "ok", l.Restore()
	case line == "stats":
		s := l.Stats()
		return fmt.Sprintf("up %d down %d open %d opened %d", s.Up, s.Down, s.Open, s.Opened), nil
	case words[0] == "stall" && len(words) == 2:
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return "", err
		}
		return "ok", l.Stall(ctx, d)
	case words[0] == "rate" && len(words) == 2:
		rate, err := link.ParseRate(words[1])
		if err != nil {
			return "", err
		}
		l.SetRate(rate, rate)
	default:
		return "", fmt.Errorf("%q is none of: cut, cut reset, restore, stall TIME, rate RATE, stats", line)
	}
	return "ok", nil
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
