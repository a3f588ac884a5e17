package pivot

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// hold is a process that uses a path in the way that its order says, tells that it does, and ends with its input.
func hold(order string) int {
	how, path, _ := strings.Cut(order, " ")
	if how == "run" && !isSelf(path) {
		err := syscall.Exec(path, os.Args[:1], os.Environ())
		fmt.Println("failed:", err)
		return 1
	}
	err := map[string]func() error{
		"open": func() error { _, err := unix.Open(path, unix.O_RDONLY, 0); return err },
		"cwd":  func() error { return os.Chdir(path) },
		"root": func() error { return unix.Chroot(path) },
		"run":  func() error { return nil },
		"map": func() error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
			return err
		},
	}[how]()
	if err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	fmt.Println("holds")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// isSelf reports whether this process runs the program at path.
func isSelf(path string) bool {
	exe, err := os.Executable()
	return err == nil && exe == path
}

// holder starts such a process; letGo ends it.
func holder(t *testing.T, how, path string) (pid int, letGo func()) {
	t.Helper()
	// The program is not started from the mount at once, but replaces itself by it: while the Go runtime starts a
	// program it cannot stop the world, and if this process serves the program's bytes both wait for ever.
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envHold+"="+how+" "+path, "GORACE=atexit_sleep_ms=0")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "holds\n" {
		t.Fatalf("%s %s: %q %v", how, path, line, err)
	}
	ended := false
	letGo = func() {
		if !ended {
			ended = true
			_ = in.Close()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(letGo)
	return cmd.Process.Pid, letGo
}

// mounted is a world with its backing directory served at TARGET by this process.
func mounted(t *testing.T, oldTree bool) (*world, *loopback) {
	t.Helper()
	w := newWorld(t, oldTree)
	host, err := mountLoopback(w.Layout)
	if err != nil {
		t.Fatal(err)
	}
	return w, host
}

func options(w *world, host *loopback) Options {
	return Options{Target: w.Target, Verify: noPlaceholder{}, Quiesce: host, Unmount: host}
}

// hears is a Reporter that calls back.
type hears func(Progress)

func (h hears) Report(p Progress) { h(p) }

// Whatever a program does with the mount is found, named, and waited for; when it ends the pivot goes on.
func TestWaitsForEveryUse(t *testing.T) {
	for how, use := range map[string]Use{"open": HasOpen, "cwd": WorksIn, "root": RootedIn, "map": Maps, "run": Runs} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t, false)
			name := map[string]string{"open": "file", "cwd": "new/a b\tc", "root": "new", "map": "new/set", "run": "program"}[how]
			if how == "run" {
				copyFile(t, "/proc/self/exe", filepath.Join(w.Backing, name))
				w.new = list(t, w.Backing)
			}
			host, err := mountLoopback(w.Layout)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(w.Target, name)
			pid, letGo := holder(t, how, path)
			var waits []Progress
			o := options(w, host)
			o.Report = hears(func(p Progress) {
				if len(p.Holders) > 0 {
					waits = append(waits, p)
					if host.quiet {
						t.Error("writers are held back while the pivot waits")
					}
					letGo()
				}
			})
			if _, err := Run(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if len(waits) != 1 || len(waits[0].Holders) != 1 {
				t.Fatalf("waited for %v", waits)
			}
			got := waits[0].Holders[0]
			if got.PID != pid || got.Use != use || got.Path != path || got.Name == "" {
				t.Errorf("got %+v, want PID %d, use %d, %s", got, pid, use, path)
			}
			w.clean(t, how)
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A file system that is mounted inside keeps the mount from going too.
func TestWaitsForMountInside(t *testing.T) {
	w, host := mounted(t, false)
	inside := filepath.Join(w.Target, "new/a b\tc")
	if err := unix.Mount("tmpfs", inside, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	told := ""
	o := options(w, host)
	o.Report = hears(func(p Progress) {
		if len(p.Holders) > 0 {
			told = p.String()
			if err := unix.Unmount(inside, 0); err != nil {
				t.Error(err)
			}
		}
	})
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if want := "waiting for " + inside + ", which is mounted there: umount " + inside; told != want {
		t.Errorf("told %q, want %q", told, want)
	}
	w.clean(t, "after the mount inside has gone")
}

// Who gives up waiting has everything as it was: the mount serves, writers write, and the error says who was in the way.
func TestGivesUpWaiting(t *testing.T) {
	w, host := mounted(t, false)
	pid, letGo := holder(t, "open", filepath.Join(w.Target, "file"))
	ctx, cancel := context.WithCancel(t.Context())
	o := options(w, host)
	o.Report = hears(func(p Progress) {
		if len(p.Holders) > 0 {
			cancel()
		}
	})
	r, err := Run(ctx, o)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), fmt.Sprintf("(PID %d)", pid)) {
		t.Errorf("error %v", err)
	}
	if r.Stage != Streaming || r.Unmounted || host.quiet {
		t.Errorf("result %+v, quiet %v", r, host.quiet)
	}
	if err := os.WriteFile(filepath.Join(w.Target, "written"), nil, 0o600); err != nil {
		t.Errorf("the mount is not as it was: %v", err)
	}
	letGo()
	w.new = list(t, w.Backing)
	if _, err := Run(t.Context(), options(w, host)); err != nil {
		t.Fatal(err)
	}
	w.clean(t, "second run")
}

// late is a Verifier during which a program comes after all.
type late struct{ come func() }

func (l late) Verify(context.Context, string) error {
	l.come()
	return nil
}

// A program that comes between the last look and the unmount is no failure: writers are let go, and it is waited for.
func TestLateComer(t *testing.T) {
	w, host := mounted(t, false)
	var pid int
	var letGo func()
	o := options(w, host)
	o.Verify = late{func() {
		if letGo == nil {
			pid, letGo = holder(t, "cwd", w.Target)
		}
	}}
	waited := 0
	o.Report = hears(func(p Progress) {
		if len(p.Holders) == 0 {
			return
		}
		waited++
		if h := p.Holders[0]; h.PID != pid || h.Use != WorksIn || h.Path != w.Target || host.quiet {
			t.Errorf("waits for %+v, quiet %v", p.Holders, host.quiet)
		}
		letGo()
	})
	if _, err := Run(t.Context(), o); err != nil || waited == 0 {
		t.Fatalf("%v, waited %d times", err, waited)
	}
	w.clean(t, "late comer")
}

// A user whom nobody can see is told of all the same.
func TestUnseenHolder(t *testing.T) {
	w, host := mounted(t, false)
	_, letGo := holder(t, "open", filepath.Join(w.Target, "file"))
	o := options(w, host)
	o.Holders, o.Unmount = blind{}, nil // and umount(2) itself says busy
	told := ""
	o.Report = hears(func(p Progress) {
		if len(p.Holders) > 0 {
			told = p.String()
			letGo()
		}
	})
	if _, err := Run(t.Context(), o); err != nil || !strings.Contains(told, "fuser -vm "+w.Target) {
		t.Fatalf("%v, told %q", err, told)
	}
	w.clean(t, "unseen")
}

type blind struct{}

func (blind) Holders(context.Context, string) ([]Holder, error) { return nil, nil }

// Loop devices and swap files have no process; they are read from the kernel's lists.
func TestLoopAndSwapLists(t *testing.T) {
	dir := t.TempDir()
	put := func(name, data string) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(data), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	put("block/loop7/loop/backing_file", "/x/desk/disk.img\n")
	put("block/loop8/loop/backing_file", "/x/desktop/disk.img\n")
	put("swaps", "Filename Type Size Used Priority\n/x/desk/swap\\040file file 1024 0 -2\n/swap file 1 0 -2\n")
	p := procHolders{proc: dir, sys: dir}
	got := append(p.loops("/x/desk"), p.swaps("/x/desk")...)
	want := []Holder{{Name: "/dev/loop7", Use: Loop, Path: "/x/desk/disk.img"}, {Use: Swap, Path: "/x/desk/swap file"}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
