//go:build linux

package fuse_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/vfstest"
	"golang.org/x/sys/unix"
)

// kept is a process that serves a desktop, with a keeper, which is one of its own:
// a keeper that has files of the mount open would wait for itself.
type kept struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	// ready gives the process id of each life, once it serves.
	ready chan int
	pid   int
	once  sync.Once
}

// keep starts it below a new directory, and waits until it has mounted. env is
// added to its environment.
func keep(t *testing.T, env ...string) (k *kept, mnt string) {
	if os.Geteuid() != 0 {
		t.Fatal("mounting with passthrough needs root")
	}
	return keepIn(t, t.TempDir(), env...)
}

func keepIn(t *testing.T, dir string, env ...string) (k *kept, mnt string) {
	mnt = filepath.Join(dir, "mnt")
	must(t, os.Mkdir(mnt, 0o755))
	k = &kept{t: t, dir: dir, cmd: exec.Command("/proc/self/exe"), ready: make(chan int)}
	k.cmd.Env = append(append(os.Environ(), crashDir+"="+dir, crashKeep+"=1"), env...)
	k.cmd.Stderr = os.Stderr
	out, err := k.cmd.StdoutPipe()
	must(t, err, k.cmd.Start())
	go func() { // ends with the process
		defer close(k.ready)
		for b := bufio.NewScanner(out); b.Scan(); {
			if pid, err := strconv.Atoi(b.Text()); err == nil {
				k.ready <- pid
			}
		}
	}()
	t.Cleanup(k.stop)
	k.await()
	return k, mnt
}

// stop ends the keeper, and with it the process.
func (k *kept) stop() {
	k.once.Do(func() {
		_ = k.cmd.Process.Kill()
		for range k.ready {
		}
		_ = k.cmd.Wait()
		_ = unix.Unmount(filepath.Join(k.dir, "mnt"), unix.MNT_DETACH)
	})
}

// fault has all chunks held back, cut or damaged, "" none.
func (k *kept) fault(what string) {
	k.t.Helper()
	file := filepath.Join(k.dir, faultFile)
	if what == "" {
		_ = os.Remove(file)
		return
	}
	must(k.t, os.WriteFile(file, []byte(what), 0o600))
}

// await waits until the mount is served.
func (k *kept) await() {
	k.t.Helper()
	pid, ok := <-k.ready
	if !ok {
		k.t.Fatal("the keeper ended")
	}
	k.pid = pid
}

// kill kills the process, as it is now.
func (k *kept) kill() { _ = syscall.Kill(k.pid, syscall.SIGKILL) }

// A process that is kept is killed again and again under load, and no program sees
// any of it: no call fails, nothing is lost, files and directories that are open
// stay open (invariants 2 and 4).
func TestHandedOver(t *testing.T) {
	tr := crashTree()
	k, mnt := keep(t)
	sys := vfstest.Dir(mnt)
	ws := make([]*writer, writers)
	for g := range ws {
		ws[g] = newWriter(t, tr, sys, g)
	}
	ctx, end := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, w := range ws {
		all.Go(func() { w.run(ctx) })
	}
	for g := range readers {
		all.Go(func() { read(ctx, t, sys, tr, uint64(g)) })
	}
	for range kills {
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond) // a random moment to die at
		k.kill()
		k.await()
	}
	end()
	all.Wait()
	ops := 0
	for _, w := range ws {
		w.resolve()
		ops += w.ops
	}
	t.Logf("%d changes in %d lives", ops, kills)
	if t.Failed() {
		return
	}
	k.stop()
	finish(t, k.dir, tr, ws)
}

// What is open when the process dies stays what it was: a file in any state, one
// without a name, a directory in the middle of its listing, a directory that is
// gone; and who waits for an answer gets it from the next process (invariant 4).
func TestOpenAcrossDeath(t *testing.T) {
	k, mnt := keep(t, crashLazy+"=1")
	at := func(p string) string { return filepath.Join(mnt, p) }
	open := func(p string, flags int) *os.File {
		f, err := os.OpenFile(at(p), flags, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	ranged, single := vfstest.Body(900_000, 0), vfstest.Body(90_000, 50)
	files := map[*os.File][]byte{
		open("w0/ranged", os.O_RDWR):        ranged,
		open("w0/single", os.O_RDONLY):      single,
		open("w1/single", os.O_RDWR):        vfstest.Body(90_000, 51),
		open("w0/inline", os.O_RDWR):        vfstest.Body(900, 99),
		open("new", os.O_RDWR|os.O_CREATE):  nil,
		open("w1/ranged", os.O_RDONLY):      vfstest.Body(900_000, 1),
		open("gone", os.O_RDWR|os.O_CREATE): nil,
	}
	second := open("w0/single", os.O_RDWR) // the same file once more, to be written
	for f, body := range files {
		if body == nil {
			files[f] = []byte("written")
			if _, err := f.Write(files[f]); err != nil {
				t.Fatal(err)
			}
		}
	}
	must(t, os.Remove(at("gone")), os.Remove(at("w1/ranged")))
	must(t, os.Mkdir(at("none"), 0o755))
	none, list := open("none", os.O_RDONLY), open("r", os.O_RDONLY)
	must(t, os.Remove(at("none")), os.Rename(at("w1/single"), at("w2/moved")), os.Rename(at("w2"), at("w4")))
	first, err := list.Readdirnames(7)
	must(t, err)

	k.fault("held")
	waits := make(chan error)
	go func() { waits <- vfstest.CheckBody(vfstest.Dir(mnt), "w3/single", vfstest.Body(90_000, 53)) }() // ends with the answer
	time.Sleep(50 * time.Millisecond)                                                                   // so that it waits, as a rule
	for range 2 {
		k.kill()
		k.await()
	}
	k.fault("")
	must(t, <-waits)

	rest, err := list.Readdirnames(-1)
	if len(first)+len(rest) != 20 || err != nil {
		t.Errorf("a listing that was under way: %d and %d names, %v", len(first), len(rest), err)
	}
	if names, err := none.Readdirnames(-1); len(names) > 0 || !errors.Is(err, unix.ENOENT) { // as on any disk
		t.Errorf("a directory that is gone: %q, %v", names, err)
	}
	for f, body := range files {
		got := make([]byte, len(body)+1)
		if n, err := f.ReadAt(got, 0); !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], body) {
			t.Errorf("%s: %d bytes of %d, %v", f.Name(), n, len(body), err)
		}
	}
	if _, err := second.WriteAt([]byte("XY"), 10); err != nil {
		t.Error(err)
	}
	copy(single[10:], "XY")
	for p, want := range map[string][]byte{"w0/single": single, "w4/moved": vfstest.Body(90_000, 51), "new": []byte("written")} {
		if got, err := os.ReadFile(at(p)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d, %v", p, len(got), len(want), err)
		}
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
