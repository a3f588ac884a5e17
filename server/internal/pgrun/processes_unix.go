//go:build unix

package pgrun

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

const (
	// lookTime is how long the system may take to tell its processes.
	lookTime = 10 * time.Second
	// settle is how long processes of a Postgres that was killed may take to leave.
	settle = time.Minute
	// tellEvery is how often the log hears of something that takes long.
	tellEvery = 10 * time.Second
)

// look is a look at the processes of the cluster.
type look struct {
	done chan struct{} // closed when pids is there
	pids []int
}

// processes lists those that work in the cluster. On a machine that hardly moves, reading /proc may hang: that is an
// error, and the next who asks waits for the same look.
func (c *cluster) processes() ([]int, error) {
	l := c.look
	if l == nil {
		l = &look{done: make(chan struct{})}
		c.look = l
		go func() { // ends with the system's answer, which nobody can hasten
			defer close(l.done)
			l.pids = c.list(c.data)
		}()
	}
	patience := time.NewTimer(lookTime)
	defer patience.Stop()
	select {
	case <-l.done:
		c.look = nil
		return l.pids, nil
	case <-patience.C:
		return nil, fmt.Errorf("the system does not tell its processes: reading /proc takes longer than %s", lookTime)
	}
}

// waitForStragglers waits until the last process of a dead postmaster has left: they end by themselves once they
// notice, and Postgres refuses to start before.
func (c *cluster) waitForStragglers(ctx context.Context) error {
	deadline := time.Now().Add(settle)
	for {
		pids, err := c.processes()
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes of a Postgres that was killed do not end: %v: end them with kill", pids)
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// upAloud is up, and has the log say where it stands as long as it is not done.
func (c *cluster) upAloud(ctx context.Context) (*postmaster, error) {
	begun, done, told := time.Now(), make(chan struct{}), make(chan struct{})
	go func() { // ends with up
		defer close(told)
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				c.log.Warn("Postgres is not up yet", "doing", c.doing.Load(), "for", time.Since(begun).Round(time.Second))
			}
		}
	}()
	defer func() { close(done); <-told }()
	return c.up(ctx)
}

// processesIn lists processes whose working directory is dir: Postgres' own stay in the cluster all their life.
// Systems without /proc list none, and rely on Postgres' own check.
func processesIn(dir string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && worksIn(pid, dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func worksIn(pid int, dir string) bool {
	cwd, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd")
	return err == nil && cwd == dir
}
