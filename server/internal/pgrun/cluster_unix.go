//go:build unix

package pgrun

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/vfs/durable"
)

// cluster is what is known about the directory once it is ready to run.
type cluster struct {
	dir, data, logs string
	socket          string // directory of the socket
	bin             binaries
	as              account
	log             *slog.Logger
	doing           atomic.Value // what up does now, a string
	list            func(dir string) []int
	look            *look // at the processes, under way; only of the goroutine that Run runs in
}

// socketMax is the longest path of a Unix socket, in bytes, on the systems that allow the least.
const socketMax = 103

// prepare makes the cluster where there is none, and brings configuration and owners in order.
func prepare(ctx context.Context, o Options) (*cluster, error) {
	if err := durable.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	dir, err := filepath.EvalSymlinks(o.Dir) // as /proc names it
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, data: filepath.Join(dir, "cluster"), logs: filepath.Join(dir, "log"), log: o.Log, list: processesIn}
	major, err := clusterMajor(c.data)
	if err != nil {
		return nil, err
	}
	if c.bin, err = findBinaries(ctx, o, major); err != nil {
		return nil, err
	}
	if c.as, err = chooseAccount(c.data); err != nil {
		return nil, err
	}
	if err := c.directories(); err != nil {
		return nil, c.explain(err)
	}
	if major == 0 {
		if err := c.initialize(ctx); err != nil {
			return nil, c.explain(err)
		}
	}
	return c, c.explain(c.configure(o.Settings))
}

// directories makes what lies around the cluster.
func (c *cluster) directories() error {
	if err := c.as.mayEnter(c.dir); err != nil {
		return err
	}
	if err := c.keepTop(); err != nil {
		return err
	}
	if again, err := chooseAccount(c.data); err != nil || again.uid != c.as.uid {
		return errors.Join(fmt.Errorf("%w: %s changed hands while this started: look at what is there", ErrOwner, c.data), err)
	}
	c.socket = socketDir(c.dir)
	for _, d := range []string{c.logs, c.socket} {
		if err := c.ownDir(d); err != nil {
			return err
		}
	}
	return nil
}

// socketDir is DIR/run, or where that is too long for a socket, or has characters that the setting would need quoted,
// a directory named after it in one for run-time files.
func socketDir(dir string) string {
	run := filepath.Join(dir, "run")
	if len(run)+len("/.s.PGSQL."+port) <= socketMax && strings.IndexFunc(run, odd) < 0 {
		return run
	}
	sum := sha256.Sum256([]byte(dir))
	base := "/run"
	if uid := os.Geteuid(); uid != 0 {
		base = "/run/user/" + strconv.Itoa(uid)
	}
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		base = "/tmp"
	}
	return filepath.Join(base, "looming-"+hex.EncodeToString(sum[:8]))
}

func odd(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+@", r))
}

// initialize makes the cluster beside its name and puts it there when it is whole. What an initdb that was cut off
// left behind never had the name, so it holds nothing and goes.
func (c *cluster) initialize(ctx context.Context) error {
	made := c.data + ".new"
	if err := durable.RemoveAll(made); err != nil {
		return err
	}
	c.log.Info("making a private Postgres", "dir", c.data, "version", c.bin.major, "user", c.as.name)
	if err := c.ownDir(made); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin.dir, "initdb"), "--pgdata="+made, "--username="+userName,
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions", "--no-clean")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", environment(), c.as.attributes()
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		err = c.explain(fmt.Errorf("initdb: %w: %s", err, lastLines(said.String(), 6))) // while what it wrote is there
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return errors.Join(err, durable.RemoveAll(made))
	}
	return durable.Rename(made, c.data)
}

// configFile is what Postgres reads and only we write.
func (c *cluster) configFile() string { return filepath.Join(c.dir, "looming.conf") }

// configure writes looming.conf, unless it says the same already.
func (c *cluster) configure(extra map[string]string) error {
	text := configuration(extra)
	if was, err := readOf(c.configFile(), uint32(os.Geteuid())); err == nil && string(was) == text {
		return nil
	}
	return durable.WriteFile(c.configFile(), []byte(text), 0o644)
}

// arguments of the postmaster that the configuration may not change.
func (c *cluster) arguments() []string {
	return []string{
		"-D", c.data, "-c", "config_file=" + c.configFile(), "-c", "listen_addresses=", "-c", "port=" + port,
		"-c", "unix_socket_directories=" + c.socket, "-c", "unix_socket_permissions=0700",
	}
}

// explain adds what a person can do to errors that the disk caused.
func (c *cluster) explain(err error) error {
	if err == nil || errors.Is(err, ErrFull) {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || freeBytes(c.dir) < 16<<20 {
		return fmt.Errorf("%w: make room on the file system of %s and start again: %w", ErrFull, c.dir, err)
	}
	return err
}

// freeBytes is the room for ordinary users; plenty where that cannot be told.
func freeBytes(path string) uint64 {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 1 << 62
	}
	return uint64(st.Bavail) * uint64(st.Bsize)
}

// lastLines is the end of what a program said, on one line.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " / ")
}
