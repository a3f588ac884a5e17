package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

const module = "github.com/looming-project/looming"

// An event is a line of go test -json, as `go doc test2json` says.
type event struct {
	Action     string
	Package    string
	ImportPath string // of what was built
	Test       string
	Output     string
	Elapsed    float64
}

// tests is the step that runs the tests of packages.
func (s *suite) tests(packages ...string) step {
	return step{name: "tests", own: func(ctx context.Context) {
		args := []string{"test", "-json", "-vet=off"}
		switch {
		case s.check:
			args = append(args, "-timeout=5m")
		case s.short:
			args = append(args, "-short", "-timeout=4m")
		default:
			args = append(args, "-race", "-count=1", "-timeout=25m")
		}
		s.gotest(ctx, append(args, packages...)...)
	}}
}

// gotest runs the go command and counts what it reports.
func (s *suite) gotest(ctx context.Context, args ...string) {
	s.report.say("      go %s", strings.Join(args, " "))
	cmd := prepare(ctx, nil, "go", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.report.fail("go test", err.Error()+"\n")
		return
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		s.report.fail("go test", err.Error()+"\n")
		return
	}
	c := counter{report: s.report, running: map[string]*packageRun{}}
	c.read(out)
	err = ended(ctx, cmd.Wait())
	c.finish()
	if err != nil && (c.failures == 0 || complaints.Len() > 0) {
		s.report.fail("go test", complaints.String()+err.Error()+"\n")
	}
}

// A counter counts tests from the events of one run of the go command.
type counter struct {
	report   *report
	running  map[string]*packageRun
	failures int
	built    map[string]*strings.Builder // what the compiler said, by import path
}

// A packageRun is what is known of a package whose tests run.
type packageRun struct {
	tests                   map[string]*strings.Builder // those that run, with what they said
	said                    strings.Builder             // outside of a test
	passed, failed, skipped int
}

func (c *counter) read(in io.Reader) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			// not an event: what a program wrote past the test's output
			fmt.Fprintf(c.report.log, "%s\n", lines.Bytes())
			continue
		}
		c.take(e)
	}
	if err := lines.Err(); err != nil {
		c.fail("reading go test's output", err.Error()+"\n")
		_, _ = io.Copy(io.Discard, in)
	}
}

func (c *counter) take(e event) {
	switch {
	case e.Action == "build-output":
		c.buildOutput(e)
	case e.Action == "build-fail", e.Package == "":
	case e.Test == "":
		c.ofPackage(e)
	default:
		c.ofTest(e)
	}
}

func (c *counter) buildOutput(e event) {
	if c.built == nil {
		c.built = map[string]*strings.Builder{}
	}
	if c.built[e.ImportPath] == nil {
		c.built[e.ImportPath] = &strings.Builder{}
	}
	c.built[e.ImportPath].WriteString(e.Output)
}

func (c *counter) of(name string) *packageRun {
	p := c.running[name]
	if p == nil {
		p = &packageRun{tests: map[string]*strings.Builder{}}
		c.running[name] = p
	}
	return p
}

func (c *counter) ofTest(e event) {
	p := c.of(e.Package)
	said := p.tests[e.Test]
	if said == nil {
		said = &strings.Builder{}
		p.tests[e.Test] = said
	}
	fmt.Fprint(c.report.log, e.Output)
	said.WriteString(e.Output)
	switch e.Action {
	case "pass":
		p.passed++
		c.report.passed++
	case "skip":
		p.skipped++
		c.report.skipped++
		c.report.say("skip  %s %s", short(e.Package), e.Test)
	case "fail":
		p.failed++
		c.fail(short(e.Package)+" "+e.Test, said.String())
	default:
		return
	}
	delete(p.tests, e.Test)
}

func (c *counter) ofPackage(e event) {
	p := c.of(e.Package)
	fmt.Fprint(c.report.log, e.Output)
	switch e.Action {
	case "output":
		p.said.WriteString(e.Output)
		return
	case "pass":
		took := time.Duration(e.Elapsed * float64(time.Second)).Round(100 * time.Millisecond)
		c.report.say("ok    %s  %d passed  %v", short(e.Package), p.passed, took)
	case "fail":
		c.unfinished(e.Package, p)
	case "skip": // no tests
	default:
		return
	}
	delete(c.running, e.Package)
}

// unfinished counts the tests that a failed package did not end, and the
// package itself where no test tells why it failed.
func (c *counter) unfinished(name string, p *packageRun) {
	for _, test := range slices.Sorted(maps.Keys(p.tests)) {
		p.failed++
		c.fail(short(name)+" "+test+" (did not end)", p.tests[test].String())
	}
	if p.failed == 0 {
		var compiler strings.Builder
		for _, path := range slices.Sorted(maps.Keys(c.built)) {
			compiler.WriteString(c.built[path].String())
		}
		c.built = nil
		c.fail(short(name), compiler.String()+p.said.String())
	}
}

// finish fails the packages whose end was not reported.
func (c *counter) finish() {
	for _, name := range slices.Sorted(maps.Keys(c.running)) {
		c.unfinished(name, c.running[name])
	}
}

func (c *counter) fail(what, output string) {
	c.failures++
	c.report.fail(what, output)
}

func short(importPath string) string {
	return strings.TrimPrefix(importPath, module+"/")
}
