package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Process is a running command. It has a process group of its own, so that a
// Ctrl-C on the terminal reaches only whoever started it.
type Process struct {
	cmd   *exec.Cmd
	out   bytes.Buffer
	ended chan struct{}
	err   error

	mu   sync.Mutex
	said bytes.Buffer
	peak uint64
}

// Ended is how a process ended that did not end with 0.
type Ended struct {
	Command string
	Code    int // -1: killed
	Said    string
}

func (e *Ended) Error() string {
	said := strings.TrimSpace(e.Said)
	if lines := strings.Split(said, "\n"); len(lines) > 20 {
		said = strings.Join(lines[len(lines)-20:], "\n")
	}
	return fmt.Sprintf("%s ended with %d: %s", e.Command, e.Code, said)
}

// Start starts a command.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &said{p}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go p.wait() // ends with the process
	return p, nil
}

// Run runs a command to its end and gives its stdout. If ctx ends first it is
// interrupted, and waited for.
func Run(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	p, err := Start(cmd)
	if err != nil {
		return nil, err
	}
	return p.Wait(ctx)
}

// said collects stderr.
type said struct{ p *Process }

func (s *said) Write(b []byte) (int, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.p.said.Write(b)
}

func (p *Process) wait() {
	measured := make(chan struct{})
	go func() { // ends with the process
		defer close(measured)
		p.measure()
	}()
	err := p.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = &Ended{strings.Join(p.cmd.Args, " "), exit.ExitCode(), p.Said()}
	}
	p.err = err
	close(p.ended)
	<-measured
}

// measure watches the peak of the memory until the process ends.
func (p *Process) measure() {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.ended:
			return
		case <-tick.C:
			p.Peak()
		}
	}
}

// Peak is the most memory that the process had so far, in bytes.
func (p *Process) Peak() uint64 {
	pid, err := p.Worker()
	if err != nil { // it does the work itself, or has ended
		pid = p.Pid()
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, _ := strconv.ParseUint(f[1], 10, 64)
			p.peak = max(p.peak, kib<<10)
		}
	}
	return p.peak
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Worker is the process that this one keeps, and that does the work.
func (p *Process) Worker() (pid int, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.Pid()))
	if err != nil {
		return 0, err
	}
	for _, t := range tasks {
		text, _ := os.ReadFile(t) // the thread may have ended
		if f := strings.Fields(string(text)); len(f) > 0 {
			return strconv.Atoi(f[0])
		}
	}
	return 0, fmt.Errorf("%s keeps no process", p.cmd.Path)
}

// Said is what it wrote to stderr so far.
func (p *Process) Said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Wait gives stdout when the process has ended. If ctx ends first the process
// is interrupted, and waited for.
func (p *Process) Wait(ctx context.Context) ([]byte, error) {
	select {
	case <-p.ended:
		return p.out.Bytes(), p.err
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), p.Interrupt())
	}
}

// patience is how long a process may take to end that was told to.
const patience = 60 * time.Second

// Interrupt ends the process as Ctrl-C does, and waits for it.
func (p *Process) Interrupt() error {
	_ = p.cmd.Process.Signal(os.Interrupt) // it may have ended
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		p.Kill()
		return fmt.Errorf("%s did not end within %v of an interrupt, and was killed", p.cmd.Path, patience)
	}
}

// Kill ends the process with no warning, as a crash does, and waits for it.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}
