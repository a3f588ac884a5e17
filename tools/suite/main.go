// Command suite runs everything that says whether the project is well, and
// counts it. It is what tools/test and tools/check run after they have made
// the machine ready; its last line is "N passed, N failed", and may name what
// was skipped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	var s suite
	flag.BoolVar(&s.short, "short", false, "tests with -short and without the race detector, no fuzzing")
	flag.BoolVar(&s.check, "check", false, "only format, vet, staticcheck and the house rules")
	flag.StringVar(&s.lint, "lint", "", "the `folder` of gofumpt and staticcheck")
	flag.DurationVar(&s.fuzz, "fuzz", 30*time.Second, "how `long` each fuzzer runs")
	flag.DurationVar(&s.limit, "limit", 58*time.Minute, "how `long` all may take")
	flag.Usage = usage
	flag.Parse()
	s.packages = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := s.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "suite:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: tools/test [--short] [--fuzz TIME] [--limit TIME] [PACKAGE...]\n       tools/check [--fix]")
	flag.PrintDefaults()
}

// A suite is one run.
type suite struct {
	short, check bool
	lint         string
	fuzz, limit  time.Duration
	packages     []string // what to test; none is all

	report *report
}

// run makes a folder for what the tests leave behind, takes all steps, and
// says whether all is well.
func (s *suite) run(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	base := os.TempDir()
	log, err := os.CreateTemp(base, "looming-test-*.log")
	if err != nil {
		return false, err
	}
	defer log.Close()
	scratch, err := os.MkdirTemp(base, "lt-")
	if err != nil {
		return false, err
	}
	// Postgres runs as another user, beneath it.
	if err := errors.Join(os.Chmod(scratch, 0o755), os.Setenv("TMPDIR", scratch)); err != nil {
		return false, err
	}
	s.report = newReport(os.Stdout, log)
	s.report.say("the full log is %s", log.Name())
	for _, step := range s.steps() {
		if ctx.Err() != nil {
			break
		}
		s.take(ctx, step)
	}
	if ctx.Err() != nil {
		s.report.fail("all within "+s.limit.String(), "stopped: "+context.Cause(ctx).Error()+"\n")
	}
	s.sweep(scratch)
	return s.report.end(), nil
}

// sweep takes away what the tests left, and counts a mount among it as a
// failure.
func (s *suite) sweep(scratch string) {
	mounts, err := mountsUnder(scratch)
	if err != nil {
		s.report.fail("nothing is left mounted", err.Error()+"\n")
		return
	}
	for i := len(mounts) - 1; i >= 0; i-- {
		unmount(mounts[i])
	}
	if len(mounts) > 0 {
		s.report.fail("nothing is left mounted", strings.Join(mounts, "\n")+"\n")
	}
	if left, err := mountsUnder(scratch); err != nil || len(left) > 0 {
		s.report.say("%s is kept: something is mounted in it", scratch)
		return
	}
	if err := os.RemoveAll(scratch); err != nil {
		s.report.say("%v", err)
	}
}

// mountsUnder gives the mount points beneath a folder, in the order in which
// they were mounted.
func mountsUnder(folder string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if os.IsNotExist(err) {
		return nil, nil
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], folder+string(filepath.Separator)) {
			found = append(found, fields[4])
		}
	}
	return found, err
}
