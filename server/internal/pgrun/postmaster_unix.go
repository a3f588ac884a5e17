//go:build unix

package pgrun

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lib/pq"
)

// The patience of a stop: fast mode first, then immediate mode, which recovers from the WAL at the next start.
const (
	fastStop      = time.Minute
	immediateStop = 15 * time.Second
	poll          = 50 * time.Millisecond
)

// postmaster is a running Postgres, our child or adopted.
type postmaster struct {
	process *os.Process
	gone    chan struct{} // closed when it has ended
	how     string        // it ended; set before gone closes
	since   time.Time
	c       *cluster
}

// start begins a new postmaster. It outlives this process if that is killed.
func (c *cluster) start() (*postmaster, error) {
	if err := c.dropStaleLocks(); err != nil {
		return nil, err
	}
	out, err := c.newLog()
	if err != nil {
		return nil, c.explain(err)
	}
	defer out.Close()
	cmd := exec.Command(filepath.Join(c.bin.dir, "postgres"), c.arguments()...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", environment(), c.as.attributes()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Postgres: %w", err)
	}
	p := &postmaster{process: cmd.Process, gone: make(chan struct{}), since: time.Now(), c: c}
	go func() { // ends with the child, which Run waits for
		defer close(p.gone)
		_ = cmd.Wait()
		p.how = cmd.ProcessState.String()
	}()
	c.log.Info("started Postgres", "pid", cmd.Process.Pid, "version", c.bin.major)
	return p, nil
}

// adopt finds the postmaster that a killed server left; nil if there is none. One that has its socket elsewhere than we
// would put it is stopped: whoever runs it must not choose where we go.
func (c *cluster) adopt() (*postmaster, error) {
	pid, socket, err := c.pidfile()
	if err != nil || pid == 0 || !c.isPostmaster(pid) {
		return nil, err
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil, nil
	}
	_ = process.Signal(syscall.SIGHUP) // looming.conf may have changed
	p := &postmaster{process: process, gone: make(chan struct{}), since: time.Now(), c: c}
	go func() { // ends with the postmaster, which Run waits for
		defer close(p.gone)
		look := time.NewTicker(poll)
		defer look.Stop()
		for process.Signal(syscall.Signal(0)) == nil && c.isPostmaster(pid) {
			<-look.C
		}
		p.how = "it was not our child"
	}()
	if socket != "" && socket != c.socket {
		c.log.Warn("the Postgres that was running has its socket elsewhere, starting it afresh", "pid", pid, "socket", socket, "wanted", c.socket)
		return nil, p.stop()
	}
	c.log.Info("adopted the Postgres that was running", "pid", pid)
	return p, nil
}

// pidfile reads the postmaster's pid and socket directory; 0 if there is no such file.
func (c *cluster) pidfile() (pid int, socket string, err error) {
	lines, err := c.readLock(filepath.Join(c.data, "postmaster.pid"))
	if err != nil || len(lines) == 0 {
		return 0, "", err
	}
	if pid, err = strconv.Atoi(lines[0]); err != nil {
		return 0, "", nil // cut off while it was written: Postgres sorts that out
	}
	if len(lines) > 4 { // pid, directory, start, port, socket directory, ...
		socket = lines[4]
	}
	return pid, socket, nil
}

// readLock reads one of Postgres' lock files; nothing if there is none.
func (c *cluster) readLock(path string) ([]string, error) {
	b, err := readOf(path, c.as.uid)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(b), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines, nil
}

// isPostmaster tells a living postmaster of this cluster from another process that got its number.
func (c *cluster) isPostmaster(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		return true
	}
	info, err := os.Stat("/proc/" + strconv.Itoa(pid))
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == c.as.uid && worksIn(pid, c.data)
}

// dropStaleLocks removes lock files whose number belongs to another program now, as after a reboot, or to a dead
// process that nobody has reaped: Postgres would take either for a running postmaster. It is called when no process
// works in the cluster.
func (c *cluster) dropStaleLocks() error {
	for _, path := range []string{filepath.Join(c.data, "postmaster.pid"), filepath.Join(c.socket, ".s.PGSQL."+port+".lock")} {
		lines, err := c.readLock(path)
		if err != nil {
			return err
		}
		if len(lines) == 0 {
			continue
		}
		pid, err := strconv.Atoi(strings.TrimPrefix(lines[0], "-"))
		if err != nil || syscall.Kill(pid, 0) != nil || c.isPostmaster(pid) {
			continue
		}
		c.log.Warn("removing the lock file of a Postgres that is gone", "file", path, "pid", pid)
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// waitReady waits until p serves, for as long as it lives: recovery after a crash may take its time.
func (c *cluster) waitReady(ctx context.Context, p *postmaster) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := c.makeDatabase(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.gone:
			return c.explain(fmt.Errorf("the new Postgres ended while starting (%s): %s", p.how, c.lastWords(p.since)))
		case <-time.After(pause):
			c.log.Debug("waiting for Postgres", "error", err)
		}
	}
}

// makeDatabase connects, and makes the database where it is missing.
func (c *cluster) makeDatabase(ctx context.Context) error {
	db, err := sql.Open("postgres", dsn(c.socket, "postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	var there bool
	err = db.QueryRowContext(ctx, `select exists (select from pg_database where datname = $1)`, database).Scan(&there)
	if err != nil || there {
		return err
	}
	_, err = db.ExecContext(ctx, `create database `+pq.QuoteIdentifier(database))
	return err
}

// lastWords is what a Postgres that was started then said before it ended: in its log, or on stderr before it had one.
func (c *cluster) lastWords(since time.Time) string {
	newest, owner, at := c.startLog(), uint32(os.Geteuid()), since
	logs, _ := filepath.Glob(filepath.Join(c.logs, "postgres-*.log")) // the pattern is well-formed
	for _, path := range logs {
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() > 0 && !info.ModTime().Before(at) {
			newest, owner, at = path, c.as.uid, info.ModTime()
		}
	}
	b, err := readOf(newest, owner)
	if err != nil {
		return "it left no log in " + c.dir
	}
	return lastLines(string(b), 3) + " (more in " + newest + ")"
}

// stop ends the postmaster and waits for that. It is harmless on one that is gone, and on nil.
func (p *postmaster) stop() error {
	if p == nil {
		return nil
	}
	for _, try := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, fastStop}, {syscall.SIGQUIT, immediateStop}, {syscall.SIGKILL, immediateStop}} {
		_ = p.process.Signal(try.signal) // it may be gone already
		select {
		case <-p.gone:
			p.c.left()
			return nil
		case <-time.After(try.wait):
			p.c.log.Warn("Postgres does not stop", "pid", p.process.Pid, "signal", try.signal)
		}
	}
	return fmt.Errorf("stop Postgres: process %d does not end", p.process.Pid)
}

// left waits for the last to leave, which is the one that writes the log, so that nothing holds the directory, and removes
// the socket's directory where it lies among those of others.
func (c *cluster) left() {
	ctx, cancel := context.WithTimeout(context.Background(), immediateStop)
	defer cancel()
	if err := c.waitForStragglers(ctx); err != nil {
		c.log.Warn("Postgres has stopped, but perhaps not all of its processes", "error", err)
	}
	if filepath.Dir(c.socket) != c.dir {
		_ = os.Remove(c.socket) // not empty if something still uses it
	}
}
