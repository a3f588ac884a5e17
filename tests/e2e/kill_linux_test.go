package e2e

import (
	"bytes"
	"fmt"
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

// rounds is how often each kind of crash is tried.
func rounds() int {
	if testing.Short() {
		return 1
	}
	return 5
}

// The upload of one round takes about this long over its line.
const (
	uploadLine = 100 * link.Mbit
	uploadTime = 2 * time.Second
)

// TestKillDuringUpload: whoever is killed while a desktop goes up, the same
// snapshot is whole after a restart, and what the server had acknowledged is
// there (invariants 1 and 2). Nobody repairs anything.
func TestKillDuringUpload(t *testing.T) {
	for _, victim := range []struct {
		name string
		kill func(*rig, *lab.Process)
	}{
		{"server", func(r *rig, _ *lab.Process) { r.server.Kill() }},
		{"endpoint", func(_ *rig, p *lab.Process) { p.Kill() }},
		{"Postgres", func(r *rig, _ *lab.Process) { must(r.T, r.server.KillPostgres()) }},
	} {
		t.Run(victim.name, func(t *testing.T) {
			t.Parallel() // each waits most of the time, for its own line
			r := serving(t)
			_, addr := r.line(link.Options{Up: uploadLine})
			e := r.endpoint("office", addr)
			direct := r.endpoint("laptop", "")
			for i := range rounds() {
				root, cvd := r.path(fmt.Sprintf("root-%d", i)), fmt.Sprintf("desk-%d", i)
				fill(t, root, 500, 4)
				p, err := e.StartSnapshot(cvd, root)
				r.stopped(p, err)
				after := rand.N(uploadTime)
				select {
				case <-time.After(after):
				case <-p.Ended():
				}
				victim.kill(r, p)
				if victim.name != "endpoint" {
					r.restart()
				}
				_, err = lab.EndSnapshot(r.ctx, p)
				t.Logf("round %d: killed after %v; the snapshot under way ended with %v", i, after, err)
				r.snapshot(e, cvd, root)
				must(t, r.server.Assign(r.ctx, cvd, direct.Name))
				target := r.path("target")
				r.stream(direct, cvd, target)
				r.same(root, target)
				must(t, os.RemoveAll(target))
			}
		})
	}
}

// restart has the server run again if it has ended, or ends soon.
func (r *rig) restart() {
	r.Helper()
	select {
	case <-r.server.Process().Ended():
	case <-time.After(3 * time.Second):
		return
	}
	must(r.T, r.server.Start(r.ctx))
}

// TestKillDuringStreaming: an endpoint that is killed while a desktop streams
// to it and programs write there loses no write and no file (invariants 4 and 6).
func TestKillDuringStreaming(t *testing.T) {
	r := serving(t)
	_, addr := r.line(link.Options{Down: 60 * link.Mbit, Delay: 5 * time.Millisecond})
	office, laptop := r.endpoint("office", ""), r.endpoint("laptop", addr)
	root := r.path("root")
	fill(t, root, 500, 5)
	r.snapshot(office, "desk", root)
	must(t, r.server.Assign(r.ctx, "desk", "laptop"))
	for i := range rounds() {
		target := r.path(fmt.Sprintf("target-%d", i))
		p := r.stopped(laptop.Stream(r.ctx, "desk", target))
		w := &writer{dir: target}
		var writing sync.WaitGroup
		writing.Go(w.run)
		after := rand.N(4 * time.Second)
		time.Sleep(after)
		p.Kill()
		writing.Wait()
		t.Logf("round %d: killed after %v and %d writes; the writer saw %v", i, after, len(w.written), w.err)
		r.stream(laptop, "desk", target)
		r.same(root, target, w.changed()...)
		w.check(t, root)
	}
}

// writer writes new files, and into files of the desktop, until it fails.
type writer struct {
	dir     string
	written map[string][]byte // name -> what it holds from then on: all of it, or its first bytes
	trying  string            // may be written or not
	err     error
	stop    <-chan struct{} // ends it without an error
	longest time.Duration   // what a write took
}

const patched = "large-0"

func (w *writer) run() {
	w.written = map[string][]byte{}
	for i := 0; w.err == nil; i++ {
		select {
		case <-w.stop:
			return
		default:
		}
		name, data := fmt.Sprintf("new-%d", i), noise(1000+i)
		if i%3 == 2 {
			name = patched
		}
		w.trying = name
		start := time.Now()
		if w.err = w.write(name, data); w.err == nil {
			w.written[name], w.trying = data, ""
		}
		w.longest = max(w.longest, time.Since(start))
		time.Sleep(5 * time.Millisecond)
	}
}

func (w *writer) write(name string, data []byte) error {
	f, err := os.OpenFile(filepath.Join(w.dir, name), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// changed are the paths that are not as the desktop had them.
func (w *writer) changed() []string {
	names := []string{patched, w.trying}
	for name := range w.written {
		names = append(names, name)
	}
	return names
}

// check wants every write that succeeded, and around it what was there.
func (w *writer) check(t *testing.T, root string) {
	t.Helper()
	for name, data := range w.written {
		got, err := os.ReadFile(filepath.Join(w.dir, name))
		must(t, err)
		if name == patched || name == w.trying {
			continue
		}
		if !bytes.Equal(got, data) {
			t.Errorf("%s: a write that succeeded is lost: %d bytes, want %d", name, len(got), len(data))
		}
	}
	was, err := os.ReadFile(filepath.Join(root, patched))
	must(t, err)
	got, err := os.ReadFile(filepath.Join(w.dir, patched))
	must(t, err)
	data := w.written[patched]
	if len(got) != len(was) || w.trying != patched && !bytes.HasPrefix(got, data) {
		t.Errorf("%s: a write into a file of the desktop is lost", patched)
	}
	if beyond := 1 << 20; len(got) == len(was) && !bytes.Equal(got[beyond:], was[beyond:]) {
		t.Errorf("%s: bytes that nobody wrote have changed", patched)
	}
}

// TestKillAtPivot: killed at any moment of the pivot, the target is the
// desktop after the same command was given again (invariant 6).
func TestKillAtPivot(t *testing.T) {
	r := serving(t)
	e := r.endpoint("office", "")
	root := r.path("root")
	fill(t, root, 300, 1)
	r.snapshot(e, "desk", root)
	for i := range rounds() {
		target := r.path(fmt.Sprintf("target-%d", i))
		p := r.stopped(e.Stream(r.ctx, "desk", target, "--no-pivot"))
		r.status(e, target, "the desktop is filled", func(s lab.Streaming) bool { return s.Phase == "filled" })
		pivot, err := lab.Start(e.Command("pivot", target))
		r.stopped(pivot, err)
		after := rand.N(120 * time.Millisecond)
		time.Sleep(after)
		_ = syscall.Kill(p.Pid(), syscall.SIGKILL)
		<-p.Ended()
		_, err = pivot.Wait(r.ctx)
		t.Logf("round %d: killed after %v; looming pivot ended with %v", i, after, err)
		if _, err := os.Lstat(lab.Work(target)); err == nil {
			r.stream(e, "desk", target)
		}
		r.same(root, target)
	}
}
