package pivot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/durable/durabletest"
)

// The tests mount for real. They run in a mount namespace of their own, which takes every mount with it when it ends.
const (
	envInside = "PIVOT_TEST_INSIDE" // set in the namespace
	envChild  = "PIVOT_TEST_CHILD"  // what a child is to do, see child
	envHold   = "PIVOT_TEST_HOLD"   // how a child is to use the mount, see hold
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envChild) != "":
		os.Exit(child(os.Getenv(envChild)))
	case os.Getenv(envHold) != "":
		os.Exit(hold(os.Getenv(envHold)))
	case os.Getenv(envInside) == "":
		os.Exit(enterNamespace())
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Fprintln(os.Stderr, "the tests need a mount namespace of their own:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// enterNamespace runs this test binary again inside.
func enterNamespace() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), envInside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if uid := os.Getuid(); uid != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	signal.Ignore(os.Interrupt) // the child gets it too, and says what it was doing
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the tests need a mount namespace of their own:", err)
		return 1
	}
	return 0
}

// order is what a child is to do, as a line of its environment: verb, target, flags, and the fault.
type order struct {
	verb    string // run, accept, revert
	target  string
	mount   bool   // serve the backing directory at target first, if it is not switched
	replace bool   // Options.Replace and Again
	death   string // kill, or cut: kill after undoing a rename that is not synced
	at      int    // the call of durable at which it dies; 0: it lives
	uid     uint32 // whose process it is; 0: the one of the tests
}

func (o order) String() string {
	return strings.Join([]string{
		o.verb, o.target, strconv.FormatBool(o.mount), strconv.FormatBool(o.replace), o.death, strconv.Itoa(o.at),
		strconv.Itoa(int(o.uid)),
	}, "\n")
}

func parseOrder(s string) (o order, err error) {
	f := strings.Split(s, "\n")
	if len(f) != 7 {
		return o, fmt.Errorf("order %q", s)
	}
	o.at, err = strconv.Atoi(f[5])
	uid, uidErr := strconv.ParseUint(f[6], 10, 32)
	o.uid, err = uint32(uid), errors.Join(err, uidErr)
	o.verb, o.target, o.mount, o.replace, o.death = f[0], f[1], f[2] == "true", f[3] == "true", f[4]
	return o, err
}

// start runs an order in a process of its own and returns how it ended.
func (o order) start(t *testing.T) (killed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), envChild+"="+o.String(), "GORACE=atexit_sleep_ms=0")
	if o.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: o.uid, Gid: o.uid}}
	}
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if o.at == 0 || ctx.Err() != nil || status.Signal() != syscall.SIGKILL {
		t.Fatalf("%v: %v\n%s", o, err, out)
	}
	return true
}

// child is the process that start starts.
func child(s string) int {
	err := func() error {
		o, err := parseOrder(s)
		if err != nil {
			return err
		}
		host, err := o.serve()
		if err != nil {
			return err
		}
		o.setDeath()
		return o.execute(host)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// serve mounts the backing directory at target through FUSE, as streaming does, if there is anything to stream.
func (o order) serve() (*loopback, error) {
	r, err := Recover(o.target)
	if err != nil || !o.mount || r.Stage.Native() || r.Stage == Nothing || r.Stage == Reverted {
		return nil, err
	}
	if r.Facts.Dead {
		if err := unmount(context.Background(), o.target, true); err != nil {
			return nil, err
		}
	}
	return o.mountAs(r.Layout)
}

// mountAs mounts with the rights that the process has: without root's it takes fusermount.
func (o order) mountAs(l Layout) (*loopback, error) {
	return mountWith(l, fuse.MountOptions{
		DirectMountStrict: o.uid == 0, AllowOther: o.uid == 0, FsName: "pivot-test",
	})
}

func (o order) setDeath() {
	act := durabletest.Kill
	if o.death == "cut" {
		act = cutPower()
	}
	fault := durabletest.At(o.at, act)
	durable.SetFault(func(op durable.Op) error {
		if o.death == "cut" {
			remember(op)
		}
		return fault(op)
	})
}

func (o order) execute(host *loopback) error {
	ctx := context.Background()
	var err error
	switch o.verb {
	case "accept":
		_, err = Accept(ctx, o.target, nil)
	case "revert":
		_, err = Revert(ctx, o.target, "the test says so", nil)
	default:
		opts := Options{Target: o.target, Verify: noPlaceholder{}, Replace: o.replace, Again: o.replace}
		if host != nil {
			opts.Quiesce, opts.Unmount = host, host
		}
		_, err = Run(ctx, opts)
	}
	return err
}

// unsynced is the last rename that no sync of a directory has followed.
var unsynced *durable.Op

func remember(op durable.Op) {
	switch {
	case op.After && (op.Name == durable.OpRename || op.Name == durable.OpExchange):
		unsynced = &op
	case op.After && op.Name == durable.OpSyncDir:
		unsynced = nil
	}
}

// cutPower dies as a machine without power does if the disk had not yet heard of the last rename.
func cutPower() func(durable.Op) error {
	return func(op durable.Op) error {
		if u := unsynced; u != nil && u.Name == durable.OpExchange {
			_ = unix.Renameat2(unix.AT_FDCWD, u.Path, unix.AT_FDCWD, u.To, unix.RENAME_EXCHANGE)
		} else if u != nil && !durable.IsTemp(filepath.Base(u.Path)) {
			_ = os.Rename(u.To, u.Path)
		}
		return durabletest.Kill(op)
	}
}

// loopback is a small virtual file system over the backing directory: a real FUSE mount.
type loopback struct {
	server *fuse.Server
	quiet  bool
}

func mountLoopback(l Layout) (*loopback, error) { return order{}.mountAs(l) }

func mountWith(l Layout, options fuse.MountOptions) (*loopback, error) {
	root, err := fs.NewLoopbackRoot(l.Backing)
	if err != nil {
		return nil, err
	}
	// The kernel remembers attributes, as it does for the real host: also those of a mount whose server has died.
	zero, hour := time.Duration(0), time.Hour
	server, err := fs.Mount(l.Target, root, &fs.Options{
		MountOptions: options, EntryTimeout: &zero, AttrTimeout: &hour,
	})
	if err != nil {
		return nil, fmt.Errorf("mount at %s: %w", l.Target, err)
	}
	return &loopback{server: server}, nil
}

func (l *loopback) Quiesce(context.Context) error { l.quiet = true; return nil }
func (l *loopback) Resume()                       { l.quiet = false }
func (l *loopback) Unmount(context.Context) error { return l.server.Unmount() }

// noPlaceholder is a Verifier for trees whose placeholders are named so.
type noPlaceholder struct{}

func (noPlaceholder) Verify(_ context.Context, dir string) error {
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && filepath.Base(path) == "placeholder" {
			err = fmt.Errorf("%s: %w", path, ErrNotNative)
		}
		return err
	})
}
