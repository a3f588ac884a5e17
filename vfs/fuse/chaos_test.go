//go:build linux

package fuse_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/vfstest"
	"golang.org/x/sys/unix"
)

// chaosTime says for how long TestChaos goes on, as a duration.
const chaosTime = "LOOMING_TEST_CHAOS"

func chaosFor(t *testing.T) time.Duration {
	text := os.Getenv(chaosTime)
	if text == "" {
		return 8 * time.Second
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	return d
}

// The process is killed and stopped, the link cut, silent and damaged, the disk
// full, at random, while readers and writers check every byte against a model:
// what they read is right or an error, what a write returned for is there, and in
// the end the desktop is what the model says (invariants 2, 3, 4 and 9).
func TestChaos(t *testing.T) {
	dir, tr := t.TempDir(), crashTree()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256m,mode=0755"))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	k, mnt := keepIn(t, dir, crashShort+"=1")
	sys := vfstest.Dir(mnt)
	ws := make([]*writer, writers)
	for g := range ws {
		ws[g] = newWriter(t, tr, sys, g)
		ws[g].faults = true
	}
	ctx, end := context.WithTimeout(t.Context(), chaosFor(t))
	defer end()
	var all sync.WaitGroup
	for _, w := range ws {
		all.Go(func() { w.run(ctx) })
	}
	for g := range readers {
		all.Go(func() { read(ctx, t, sys, tr, uint64(g)) })
	}
	did := map[string]int{}
	for ctx.Err() == nil && !t.Failed() {
		did[k.harm()]++
	}
	k.fault("")
	all.Wait()
	ops, failed := 0, 0
	for _, w := range ws {
		w.resolve()
		ops, failed = ops+w.ops, failed+w.failed
	}
	t.Logf("%d changes, of which %d met a fault; %v", ops, failed, did)
	if t.Failed() {
		return
	}
	k.stop()
	finish(t, dir, tr, ws)
}

// harm does one thing for a moment, and says which.
func (k *kept) harm() string {
	moment := func() { time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond) } // faults have a random length
	what := []string{"kill", "kill", "stop", "held", "cut", "damaged", "full", "kill when cut"}[rand.IntN(8)]
	switch what {
	case "kill":
		k.kill()
		k.await()
	case "kill when cut":
		k.fault("cut")
		k.kill()
		k.await()
		moment()
	case "stop":
		_ = syscall.Kill(k.pid, syscall.SIGSTOP)
		moment()
		_ = syscall.Kill(k.pid, syscall.SIGCONT)
	case "full":
		ballast := filepath.Join(k.dir, "ballast")
		fillUp(ballast)
		moment()
		must(k.t, os.Remove(ballast))
	default:
		k.fault(what)
		moment()
	}
	k.fault("")
	moment()
	return what
}

// fillUp writes until the disk is full.
func fillUp(path string) {
	f, err := os.Create(path)
	if err != nil {
		return
	}
	defer f.Close()
	for size := 1 << 20; size >= 1<<12; size /= 16 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
}
