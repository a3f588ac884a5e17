// Package e2e runs the built commands as people run them: a real server with
// its own Postgres and packs on disk, TLS, FUSE, and lines that can be slow,
// cut and full. Every test says which invariant of the design must hold.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/looming-project/looming/tests/e2e/lab"
	"github.com/looming-project/looming/tools/tree/compare"
	"github.com/looming-project/looming/tools/tree/debian"
	"github.com/looming-project/looming/tools/wan/link"
)

// programs are built once for all tests.
var programs = sync.OnceValues(func() (lab.Programs, error) {
	dir, err := os.MkdirTemp("", "e2e-bin-")
	if err != nil {
		return "", err
	}
	built = dir
	return lab.Build(context.Background(), dir)
})

var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if err := os.RemoveAll(built); err != nil && built != "" {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// patience bounds every wait for something that must come. Tests do not wait it
// out.
const patience = 5 * time.Minute

// rig is a server, and what a test makes around it. All is taken down at the
// test's end.
type rig struct {
	*testing.T
	ctx    context.Context
	dir    string
	server *lab.Server
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests mount file systems and own files as other users: run them as root")
	}
	p, err := programs()
	must(t, err)
	dir, err := os.MkdirTemp("", "e2e-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755)) // Postgres runs as another user
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	r := &rig{T: t, ctx: ctx, dir: dir, server: &lab.Server{Programs: p, Data: filepath.Join(dir, "server"), Listen: "127.0.0.1:0"}}
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(lab.Unmount(dir), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return r
}

// serving is a rig whose server runs.
func serving(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.start()
	return r
}

func (r *rig) start() {
	r.Helper()
	must(r.T, r.server.Start(r.ctx))
	r.Cleanup(func() {
		if err := r.server.Stop(); err != nil {
			r.Error(err)
		}
		if r.Failed() {
			r.Logf("what the server complained of:\n%s", complaints(r.server.Process().Said()))
		}
	})
}

// complaints are the lines of a log that are not about good news.
func complaints(log string) string {
	var bad []string
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "level=INFO") {
			bad = append(bad, line)
		}
	}
	return tail(strings.Join(bad, ""), 40)
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// endpoint is a device that is let in and reaches the server at addr, or
// directly.
func (r *rig) endpoint(name, addr string) *lab.Endpoint {
	r.Helper()
	e := r.stranger(name, addr)
	must(r.T, e.Enroll(r.ctx, r.server))
	return e
}

// stranger is a device that has not asked in.
func (r *rig) stranger(name, addr string) *lab.Endpoint {
	if addr == "" {
		addr = r.server.Listen
	}
	return &lab.Endpoint{Programs: r.server.Programs, Name: name, State: r.path("state-" + name), URL: "https://" + addr, CA: r.server.CA()}
}

// line is a line to the server, and its address.
func (r *rig) line(o link.Options) (*link.Link, string) {
	r.Helper()
	l, err := link.Listen("127.0.0.1:0", r.server.Listen, o)
	must(r.T, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }() // ends with the test
	r.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			r.Error(err)
		}
	})
	return l, l.Addr().String()
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// stopped has a process ended when the test ends, however that is.
func (r *rig) stopped(p *lab.Process, err error) *lab.Process {
	r.Helper()
	must(r.T, err)
	r.Cleanup(func() {
		if err := p.Interrupt(); err != nil {
			r.Error(err)
		}
		if r.Failed() {
			r.Logf("a command's last words:\n%s", tail(p.Said(), 20))
		}
	})
	return p
}

// snapshot centralizes a tree and wants all of it taken.
func (r *rig) snapshot(e *lab.Endpoint, cvd, root string) lab.Taken {
	r.Helper()
	taken, err := e.Snapshot(r.ctx, cvd, root)
	must(r.T, err)
	return taken
}

// stream brings a desktop to a target until it is native.
func (r *rig) stream(e *lab.Endpoint, cvd, target string) lab.Streaming {
	r.Helper()
	s, err := lab.EndStream(r.ctx, r.stopped(e.Stream(r.ctx, cvd, target)))
	must(r.T, err)
	if s.Phase != "native" || lab.Mounted(target) {
		r.Fatalf("%s: the stream ended as %q, mounted: %v", target, s.Phase, lab.Mounted(target))
	}
	if _, err := os.Lstat(lab.Work(target)); !errors.Is(err, os.ErrNotExist) {
		r.Errorf("%s: the work directory is left behind (%v)", target, err)
	}
	return s
}

// same wants two trees to be the same in everything, but for some paths.
func (r *rig) same(want, got string, but ...string) {
	r.Helper()
	skip := map[string]bool{}
	for _, path := range but {
		skip[path] = true
	}
	differ, err := compare.Trees(r.ctx, want, got, compare.Options{Skip: func(path string) bool { return skip[path] }})
	must(r.T, err)
	for _, line := range differ {
		r.Errorf("%s: %s", got, line)
	}
}

// status asks until a stream is as wanted, and gives how it is then.
func (r *rig) status(e *lab.Endpoint, target, what string, ok func(lab.Streaming) bool) lab.Streaming {
	r.Helper()
	var last lab.Streaming
	r.until(what, func() bool {
		s, err := e.Status(r.ctx, target)
		last = s
		return err == nil && ok(s)
	})
	return last
}

// until waits for something that must come.
func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("waited %v for this in vain: %s", patience, what)
		}
	}
}

// debian is the small real Debian that all tests share.
func (r *rig) debian() string {
	r.Helper()
	dir, err := debian.Tree(r.ctx, debian.Options{Log: os.Stderr})
	must(r.T, err)
	return dir
}

// refused wants an error with an exit code.
func refused(t *testing.T, what string, err error, code int) {
	t.Helper()
	ended, ok := errors.AsType[*lab.Ended](err)
	if !ok || ended.Code != code {
		t.Errorf("%s: ended with %v, want exit code %d", what, err, code)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
