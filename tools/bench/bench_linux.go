package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// bench is one run of the benchmark.
type bench struct {
	tree, second, work string
	runs               int
	programs           lab.Programs

	now     *setup // with the tree centralized, if not nil
	results []result
	memory  []peak
}

// peak is the most memory that processes had.
type peak struct {
	when             string
	endpoint, server uint64
}

// setup is a server with its endpoint, all new.
type setup struct {
	dir      string
	server   *lab.Server
	endpoint *lab.Endpoint
}

const cvd = "desktop"

// begin makes a new setup in the place of the one before.
func (b *bench) begin(ctx context.Context) (*setup, error) {
	if err := b.end(); err != nil {
		return nil, err
	}
	dir := filepath.Join(b.work, "setup")
	s := &setup{dir: dir, server: &lab.Server{Programs: b.programs, Data: filepath.Join(dir, "server"), Listen: "127.0.0.1:0"}}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	b.now = s
	if err := s.server.Start(ctx); err != nil {
		return nil, err
	}
	var err error
	s.endpoint, err = s.enroll(ctx, b, "bench", s.server.Listen)
	return s, err
}

// enroll lets a device in that reaches the server at addr.
func (s *setup) enroll(ctx context.Context, b *bench, name, addr string) (*lab.Endpoint, error) {
	e := &lab.Endpoint{Programs: b.programs, Name: name, State: filepath.Join(s.dir, "state-"+name), URL: "https://" + addr, CA: s.server.CA()}
	return e, e.Enroll(ctx, s.server)
}

// end takes a setup down with everything that it made.
func (b *bench) end() error {
	if b.now == nil {
		return nil
	}
	s := b.now
	b.now = nil
	return errors.Join(lab.Unmount(s.dir), s.server.Stop(), os.RemoveAll(s.dir))
}

// filled is a setup whose server has the tree.
func (b *bench) filled(ctx context.Context) (*setup, error) {
	if b.now != nil {
		return b.now, nil
	}
	s, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	_, err = s.endpoint.Snapshot(ctx, cvd, b.tree)
	return s, err
}

// cold has the kernel forget what it read, so that the disk is read again.
func cold() error {
	unix.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200); err != nil {
		return fmt.Errorf("drop the page cache: %w", err)
	}
	return nil
}

// timed is how long fn takes, from cold caches.
func timed(what string, fn func() error) (time.Duration, error) {
	if err := cold(); err != nil {
		return 0, err
	}
	began := time.Now()
	err := fn()
	took := time.Since(began)
	fmt.Fprintf(os.Stderr, "  %-24s %8.2f s\n", what, took.Seconds())
	return took, err
}

// shell runs a command line of the shell, as floors are.
func shell(ctx context.Context, line string, args ...string) error {
	_, err := lab.Run(ctx, shellOf(line, args...))
	return err
}

func shellOf(line string, args ...string) *exec.Cmd {
	return exec.Command("sh", append([]string{"-c", line, "sh"}, args...)...)
}

// remember keeps the peaks of a run.
func (b *bench) remember(when string, endpoint *lab.Process, s *setup) {
	b.memory = append(b.memory, peak{when, endpoint.Peak(), s.server.Process().Peak()})
}
