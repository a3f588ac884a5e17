package e2e

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/looming-project/looming/tests/e2e/lab"
	"github.com/looming-project/looming/tools/wan/link"
)

// TestWorkerDies: the process that serves a mount is killed, or replaced after an
// upgrade, while a desktop streams and programs write: no call of theirs fails, and
// no write is lost (invariants 2, 4 and 6).
func TestWorkerDies(t *testing.T) {
	r := serving(t)
	_, addr := r.line(link.Options{Down: 60 * link.Mbit, Delay: 5 * time.Millisecond})
	office, laptop := r.endpoint("office", ""), r.endpoint("laptop", addr)
	root := r.path("root")
	fill(t, root, 500, 5)
	r.snapshot(office, "desk", root)
	must(t, r.server.Assign(r.ctx, "desk", "laptop"))
	for _, show := range []string{"stream", "mount"} {
		target := r.path(show)
		start := map[string]func() (*lab.Process, error){
			"stream": func() (*lab.Process, error) { return laptop.Stream(r.ctx, "desk", target, "--no-pivot") },
			"mount": func() (*lab.Process, error) {
				return laptop.Mount(r.ctx, "desk", target, "--backing", lab.Work(target))
			},
		}
		p := r.stopped(start[show]())
		stop := make(chan struct{})
		w := &writer{dir: target, stop: stop}
		var writing sync.WaitGroup
		writing.Go(w.run)
		for i := range 2 + rounds() {
			time.Sleep(time.Second + rand.N(2*time.Second)) // a random moment to die at
			if i%3 == 2 {
				must(t, syscall.Kill(p.Pid(), syscall.SIGHUP))
				continue
			}
			pid, err := p.Worker()
			must(t, err)
			must(t, syscall.Kill(pid, syscall.SIGKILL))
		}
		time.Sleep(time.Second) // so that the last one is seen to write
		close(stop)
		writing.Wait()
		t.Logf("%s: %d writes, the longest took %v", show, len(w.written), w.longest)
		if w.err != nil {
			t.Errorf("%s: the writer saw %v\n%s", show, w.err, p.Said())
		}
		must(t, p.Interrupt())
		if show == "stream" {
			r.stream(laptop, "desk", target)
			r.same(root, target, w.changed()...)
			w.check(t, root)
			continue
		}
		p = r.stopped(start[show]())
		w.check(t, root)
		must(t, p.Interrupt())
	}
}

// A command whose worker cannot start ends as it would without a keeper, and says why.
func TestKeptEnds(t *testing.T) {
	r := serving(t)
	e := r.endpoint("office", "")
	p, err := lab.Start(e.Command("stream", "--cvd", "none", r.path("target")))
	must(t, err)
	_, err = p.Wait(r.ctx)
	if end, ok := errors.AsType[*lab.Ended](err); !ok || end.Code != 5 {
		t.Errorf("streaming what is not there: %v", err)
	}
}

// A mount that was unmounted is not brought back, also by a worker that took it over.
func TestUnmounted(t *testing.T) {
	r := serving(t)
	office := r.endpoint("office", "")
	root, point := r.path("root"), r.path("mount")
	fill(t, root, 20, 5)
	r.snapshot(office, "desk", root)
	for _, dies := range []bool{false, true} {
		p := r.stopped(office.Mount(r.ctx, "desk", point, "--backing", lab.Work(point)))
		if dies {
			pid, err := p.Worker()
			must(t, err)
			must(t, syscall.Kill(pid, syscall.SIGKILL))
			_, err = os.ReadDir(point) // answered by the next worker
			must(t, err)
		}
		must(t, syscall.Unmount(point, 0))
		if _, err := p.Wait(r.ctx); err != nil || lab.Mounted(point) {
			t.Errorf("unmounted, after a death %v: ended with %v, mounted %v\n%s", dies, err, lab.Mounted(point), p.Said())
		}
	}
}

// A worker that cannot go on with a mount ends it: nobody waits for an answer that never comes.
func TestKeptGivesUp(t *testing.T) {
	r := serving(t)
	office := r.endpoint("office", "")
	root, target := r.path("root"), r.path("target")
	fill(t, root, 20, 5)
	r.snapshot(office, "desk", root)
	p := r.stopped(office.Stream(r.ctx, "desk", target, "--no-pivot"))
	r.status(office, target, "all to be here", func(s lab.Streaming) bool { return s.Phase == "filled" })
	must(t, os.WriteFile(filepath.Join(lab.Work(target), "desktop.json"), []byte("none"), 0o600))
	pid, err := p.Worker()
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	if _, err := p.Wait(r.ctx); err == nil {
		t.Error("a stream without its desktop ended well")
	}
	if _, err := os.ReadDir(target); err != nil {
		t.Errorf("a dead mount is left: %v", err)
	}
}
