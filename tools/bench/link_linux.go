package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/looming-project/looming/tests/e2e/lab"
	"github.com/looming-project/looming/tools/wan/link"
)

// line is one on which prefetch and demand meet. All connections share one
// queue before it, as on most lines of that kind.
type line struct {
	name  string
	rate  link.Rate
	delay time.Duration
}

func (l line) String() string {
	return fmt.Sprintf("%g Mbit/s %d ms", float64(l.rate)/float64(link.Mbit), l.delay.Milliseconds())
}

// The time that prefetch has to find out what the line holds, and the time in
// which its use is measured then.
const (
	linkSettle = 6 * time.Second
	linkWindow = 25 * time.Second
)

// shared is what was measured of a line.
type shared struct {
	off, on []time.Duration // waits for the first byte, without prefetch and with
	used    []float64       // parts of the line while nobody demanded
}

func (b *bench) link2(ctx context.Context) error {
	return b.link(ctx, line{"link2", 2 * link.Mbit, 150 * time.Millisecond})
}

func (b *bench) link20(ctx context.Context) error {
	return b.link(ctx, line{"link20", 20 * link.Mbit, 50 * time.Millisecond})
}

func (b *bench) link100(ctx context.Context) error {
	return b.link(ctx, line{"link100", 100 * link.Mbit, 20 * time.Millisecond})
}

// link is how long somebody waits for a small file while prefetch fills a
// line, to the same line without prefetch, and how full it is then.
func (b *bench) link(ctx context.Context, of line) error {
	s, err := b.filled(ctx)
	if err != nil {
		return err
	}
	l, err := link.Listen("127.0.0.1:0", s.server.Listen, link.Options{Single: true})
	if err != nil {
		return err
	}
	lineCtx, cut := context.WithCancel(context.WithoutCancel(ctx))
	var g errgroup.Group
	g.Go(func() error { return l.Run(lineCtx) })
	m, err := b.share(ctx, s, l, of)
	cut()
	if err = errors.Join(err, g.Wait()); err != nil {
		return err
	}
	note := fmt.Sprintf("%d reads each", min(len(m.on), len(m.off)))
	b.add(result{what: "99 per cent of the first bytes of 4 KiB files at " + of.String() + ", prefetch at full rate to prefetch off", must: 1.2, aim: 1.1, note: note}.
		quantiles(m.on, m.off, 0.99))
	b.add(result{what: "the same, median", note: note}.quantiles(m.on, m.off, 0.5))
	used := 0.0
	for _, u := range m.used {
		used += u / float64(len(m.used))
	}
	b.add(result{what: "link use of prefetch at " + of.String() + " when nobody demands", value: used, must: 0.95, aim: 0.97, more: true, note: fmt.Sprintf("%.3f", m.used)})
	return nil
}

// share lists the desktop over a line without bounds, shapes the line, and
// measures in turns.
func (b *bench) share(ctx context.Context, s *setup, l *link.Link, of line) (m shared, err error) {
	e, err := s.enroll(ctx, b, of.name, l.Addr().String())
	if err != nil {
		return m, err
	}
	if err := s.server.Assign(ctx, cvd, of.name); err != nil {
		return m, err
	}
	files, err := smallFiles(b.tree)
	if err != nil {
		return m, err
	}
	target := filepath.Join(s.dir, of.name)
	p, err := e.Stream(ctx, cvd, target)
	if err != nil {
		return m, err
	}
	_, err = waitFilling(ctx, e, p, target)
	if err = errors.Join(err, p.Interrupt()); err != nil {
		return m, err
	}
	l.SetRate(of.rate, of.rate)
	l.SetDelay(of.delay, 0)
	for range b.runs {
		if err := m.without(ctx, e, target, files); err != nil {
			return m, err
		}
		if err := m.with(ctx, e, target, files, l, of); err != nil {
			return m, err
		}
		fmt.Fprintf(os.Stderr, "  %-24s 99%% %8v %8v  50%% %8v %8v  used %.3f\n", of, quantile(m.off, 0.99), quantile(m.on, 0.99), quantile(m.off, 0.5), quantile(m.on, 0.5), m.used)
	}
	return m, nil
}

// without times reads from what was streamed so far, with nothing else going on.
func (m *shared) without(ctx context.Context, e *lab.Endpoint, target string, files []string) error {
	p, err := e.Mount(ctx, cvd, target, "--backing", lab.Work(target))
	if err != nil {
		return err
	}
	waits, err := readAll(ctx, p, target, files)
	m.off = append(m.off, waits...)
	return errors.Join(err, p.Interrupt())
}

// with streams on, first alone, then with reads.
func (m *shared) with(ctx context.Context, e *lab.Endpoint, target string, files []string, l *link.Link, of line) error {
	p, err := e.Stream(ctx, cvd, target)
	if err != nil {
		return err
	}
	_, err = waitFilling(ctx, e, p, target)
	if err == nil {
		err = m.use(ctx, p, l, of)
	}
	if err == nil {
		var waits []time.Duration
		waits, err = readAll(ctx, p, target, files)
		m.on = append(m.on, waits...)
	}
	return errors.Join(err, p.Interrupt())
}

// use measures which part of the line prefetch uses.
func (m *shared) use(ctx context.Context, p *lab.Process, l *link.Link, of line) error {
	var before int64
	var began time.Time
	for _, pause := range []time.Duration{linkSettle, linkWindow} {
		before, began = l.Stats().Down, time.Now()
		select {
		case <-time.After(pause):
		case <-p.Ended():
			return errors.New("the stream ended before the line was measured: take a larger tree")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	crossed := float64(l.Stats().Down-before) * 8 / time.Since(began).Seconds()
	m.used = append(m.used, crossed/float64(of.rate))
	return nil
}
