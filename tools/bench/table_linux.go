package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
)

// result is a line of the table.
type result struct {
	what        string
	value       float64 // what must and aim are about
	must, aim   float64
	more        bool // more is better
	ours, floor string
	note        string
}

func (b *bench) add(r result) { b.results = append(b.results, r) }

// ratio is that of the medians of ours and the floor.
func (r result) ratio(ours, floor []time.Duration) result {
	r = r.quantiles(ours, floor, 0.5)
	r.ours, r.floor = seconds(quantile(ours, 0.5)), seconds(quantile(floor, 0.5))
	return r
}

// quantiles is ratio for another quantile than the median.
func (r result) quantiles(ours, floor []time.Duration, q float64) result {
	o, f := quantile(ours, q), quantile(floor, q)
	r.value, r.ours, r.floor = o.Seconds()/f.Seconds(), milliseconds(o), milliseconds(f)
	return r
}

// rates is ratio for amounts per time.
func (r result) rates(ours, floor []time.Duration, amount float64, unit string) result {
	o, f := amount/quantile(ours, 0.5).Seconds(), amount/quantile(floor, 0.5).Seconds()
	r.value, r.ours, r.floor = o/f, fmt.Sprintf("%.0f %s", o, unit), fmt.Sprintf("%.0f %s", f, unit)
	return r
}

// swapped has the floor stand where ours stood, for figures of how many times faster something is.
func (r result) swapped() result {
	r.ours, r.floor = r.floor, r.ours
	return r
}

// of is a time on its own.
func (r result) of(d time.Duration) result {
	r.value = float64(d) / float64(time.Millisecond)
	r.ours = milliseconds(d)
	return r
}

func (r result) verdict() string {
	better := func(limit float64) bool { return r.value == limit || (r.value < limit) != r.more }
	switch {
	case r.must == 0:
		return ""
	case better(r.aim):
		return "aim reached"
	case better(r.must):
		return "reached"
	}
	return "**missed**"
}

// quantile is of the times in order; 0.5 is the median.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}

func human(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// print writes the table.
func (b *bench) print(w io.Writer) {
	for _, of := range []string{"endpoint", "server"} {
		if r, ok := b.peakOf(of); ok {
			b.add(r)
		}
	}
	fmt.Fprintf(w, "\nTree %s, medians of %d runs, caches dropped.\n\n", b.tree, b.runs)
	fmt.Fprintln(w, "| what | figure | must | aim | | ours | floor | note |\n|---|--:|--:|--:|---|--:|--:|---|")
	for _, r := range b.results {
		fmt.Fprintf(w, "| %s | %.2f | %s | %s | %s | %s | %s | %s |\n", r.what, r.value, limit(r.must), limit(r.aim), r.verdict(), r.ours, r.floor, r.note)
	}
}

func limit(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%g", v)
}

// peakOf is the most memory of all that was measured.
func (b *bench) peakOf(of string) (result, bool) {
	r := result{what: "peak memory of the " + of + " (MiB)", must: 300, aim: 150}
	for _, p := range b.memory {
		n := p.endpoint
		if of == "server" {
			n = p.server
		}
		if mib := float64(n) / (1 << 20); mib > r.value {
			r.value, r.ours, r.note = mib, fmt.Sprintf("%.0f MiB", mib), "when "+p.when
		}
	}
	return r, len(b.memory) > 0
}
