package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A step is one thing that passes or fails. Steps that run tests count those
// themselves.
type step struct {
	name string
	run  func(context.Context) (output string, err error)
	own  func(context.Context) // instead of run: counts by itself
}

// steps are in the order in which a failure is most useful.
func (s *suite) steps() []step {
	steps := []step{
		{name: "gofumpt", run: s.gofumpt},
		command("go vet", nil, "go", "vet", "./..."),
		command("staticcheck", nil, filepath.Join(s.lint, "staticcheck"), "./..."),
	}
	if s.check {
		return append(steps, s.tests("./tests"))
	}
	steps = append(
		steps,
		command("go.mod and go.sum are tidy", nil, "go", "mod", "tidy", "-diff"),
		command("go vet for windows", target("windows", "amd64"), "go", "vet", "./..."),
		build("linux", "amd64"), build("linux", "arm64"), build("windows", "amd64"),
	)
	if len(s.packages) > 0 {
		return append(steps, s.tests(s.packages...))
	}
	steps = append(steps, command("the Debian tree for tests", nil, "go", "run", "./tools/tree"))
	if s.short {
		return append(steps, s.tests("./..."))
	}
	return append(steps, s.tests("./..."), step{name: "fuzzers", own: s.fuzzers})
}

func (s *suite) take(ctx context.Context, t step) {
	if t.own != nil {
		t.own(ctx)
		return
	}
	began := time.Now()
	output, err := t.run(ctx)
	if err != nil {
		s.report.fail(t.name, output+err.Error()+"\n")
		return
	}
	fmt.Fprint(s.report.log, output)
	s.report.pass(t.name, time.Since(began))
}

func target(system, machine string) []string {
	return []string{"GOOS=" + system, "GOARCH=" + machine, "CGO_ENABLED=0"}
}

func build(system, machine string) step {
	return command("builds without cgo for "+system+"/"+machine, target(system, machine), "go", "build", "./...")
}

// command is a step that runs a program and passes if it succeeds.
func command(name string, env []string, program string, args ...string) step {
	return step{name: name, run: func(ctx context.Context) (string, error) {
		cmd := prepare(ctx, env, program, args...)
		out, err := cmd.CombinedOutput()
		return string(out), ended(ctx, err)
	}}
}

// prepare makes a command that ends, with what it started, when ctx does.
func prepare(ctx context.Context, env []string, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(cmd.Environ(), env...)
	cmd.WaitDelay = 10 * time.Second
	inGroup(cmd)
	return cmd
}

// ended says that a program was stopped, where that is why it failed.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("stopped: %w", ctx.Err())
	}
	return err
}

// gofumpt fails if a file that people write is not formatted.
func (s *suite) gofumpt(ctx context.Context) (string, error) {
	list, err := prepare(ctx, nil, "git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.go").Output()
	if err != nil {
		return "", fmt.Errorf("git ls-files: %w", err)
	}
	args := []string{"-l"}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if _, err := os.Lstat(name); err == nil && !strings.Contains(name, "third_party/") {
			args = append(args, name)
		}
	}
	var errs bytes.Buffer
	cmd := prepare(ctx, nil, filepath.Join(s.lint, "gofumpt"), args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err == nil && len(out) > 0 {
		err = errors.New("these files are not formatted: run tools/check --fix")
	}
	return errs.String() + string(out), err
}
