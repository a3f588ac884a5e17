package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// shown is how many lines of a failure are printed; all are in the log.
const shown = 150

// A report counts, prints what matters and logs everything.
type report struct {
	out, log                io.Writer
	began                   time.Time
	passed, failed, skipped int
	failures                []string
}

func newReport(out, log io.Writer) *report {
	return &report{out: out, log: log, began: time.Now()}
}

// say prints a line of progress.
func (r *report) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	fmt.Fprintln(r.out, line)
	fmt.Fprintln(r.log, line)
}

func (r *report) pass(what string, took time.Duration) {
	r.passed++
	r.say("ok    %s  %v", what, took.Round(100*time.Millisecond))
}

// fail counts a failure and shows the end of what was said about it.
func (r *report) fail(what, output string) {
	r.failed++
	r.failures = append(r.failures, what)
	fmt.Fprintf(r.log, "FAIL  %s\n%s", what, output)
	fmt.Fprintf(r.out, "FAIL  %s\n", what)
	lines := strings.SplitAfter(output, "\n")
	if n := len(lines) - shown; n > 0 {
		fmt.Fprintf(r.out, "      (%d lines before these are in the log)\n", n)
		lines = lines[n:]
	}
	for _, line := range lines {
		if line != "" {
			fmt.Fprint(r.out, "      ", strings.TrimSuffix(line, "\n"), "\n")
		}
	}
}

// end names the failures again, writes the closing line, and says whether
// there were none.
func (r *report) end() bool {
	r.say("")
	for _, what := range r.failures {
		r.say("failed: %s", what)
	}
	r.say("took %v", time.Since(r.began).Round(time.Second))
	line := fmt.Sprintf("%d passed, %d failed", r.passed, r.failed)
	if r.skipped > 0 {
		line += fmt.Sprintf(", %d skipped", r.skipped)
	}
	r.say("%s", line)
	return r.failed == 0 && r.passed > 0
}
