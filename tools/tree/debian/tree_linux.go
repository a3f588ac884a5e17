package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/tools/tree/odd"
)

const suite = "bookworm"

var packages = []string{"git", "python3", "less", "procps", "ca-certificates", "libcap2-bin", "attr", "acl"}

// source is part of the recipe: a change here makes another tree.
//
//go:embed *.go
var source embed.FS

// Options says where a tree is kept and who hears of it.
type Options struct {
	Cache string    // the folder to keep it in; the default is looming in the user's cache
	Log   io.Writer // hears what is done where that takes time; the default is nobody
}

// Tree gives the directory of the tree, which it makes at the first call on a
// machine. That takes a minute or two, needs root, mmdebstrap, and a Debian
// mirror in reach.
func Tree(ctx context.Context, o Options) (string, error) {
	dir, err := o.place()
	if err != nil {
		return "", err
	}
	if exists(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(dir) {
		return dir, nil
	}
	if err := o.build(ctx, dir); err != nil {
		return "", fmt.Errorf("make the Debian tree for tests: %w", err)
	}
	return dir, nil
}

func (o Options) place() (string, error) {
	cache := o.Cache
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a place for the Debian tree: %w; set HOME or XDG_CACHE_HOME", err)
		}
		cache = filepath.Join(user, "looming")
	}
	recipe, err := recipe()
	return filepath.Join(cache, "debian-12-"+recipe), err
}

// recipe names what the tree is made of.
func recipe() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, suite, packages, runtime.GOARCH)
	for _, text := range []embed.FS{source, odd.Source} {
		err := fs.WalkDir(text, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
				return err
			}
			b, err := text.ReadFile(name)
			fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

func exists(dir string) bool {
	_, err := os.Lstat(dir)
	return err == nil
}

// build makes the tree aside and lets it appear when it is on the disk.
func (o Options) build(ctx context.Context, dir string) error {
	if err := able(); err != nil {
		return err
	}
	mirror, err := mirror("/etc/apt")
	if err != nil {
		return err
	}
	part := dir + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	began := time.Now()
	o.say("making a small Debian for tests in %s (once, about a minute)", dir)
	for _, step := range []func() error{
		func() error { return install(ctx, mirror, part) },
		func() error { return personal(filepath.Join(part, "home/user")) },
		func() error { return odd.Make(filepath.Join(part, "home/user/odd")) },
		func() error { return syncAll(part) },
	} {
		if err := step(); err != nil {
			return errors.Join(err, os.RemoveAll(part))
		}
	}
	o.say("made it in %v", time.Since(began).Round(time.Second))
	return os.Rename(part, dir)
}

func (o Options) say(format string, args ...any) {
	if o.Log != nil {
		fmt.Fprintf(o.Log, format+"\n", args...)
	}
}

// able says everything that this machine lacks, at once.
func able() error {
	var errs []error
	if os.Geteuid() != 0 {
		errs = append(errs, errors.New("it needs root, to own files as other users and to make device nodes: run this as root"))
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		errs = append(errs, errors.New("mmdebstrap is missing: apt-get install mmdebstrap"))
	}
	return errors.Join(errs...)
}

// install lets Debian's own tools make the system.
func install(ctx context.Context, mirror, dir string) error {
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase",
		"--dpkgopt=force-unsafe-io", `--aptopt=APT::Install-Recommends "false"`, `--aptopt=Acquire::Retries "3"`,
		"--include="+strings.Join(packages, ","), suite, dir, "deb "+mirror+" "+suite+" main")
	cmd.Env = append(cmd.Environ(), "SOURCE_DATE_EPOCH=1700000000", "LC_ALL=C")
	// An interrupt lets mmdebstrap take its mounts away.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("mmdebstrap: %w\n%s\nA Debian mirror must be in reach (apt-get update shows whether it is)", err, out.Bytes())
	}
	return nil
}

func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// lock keeps other processes from making the same tree.
func lock(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for another process that makes the Debian tree: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
