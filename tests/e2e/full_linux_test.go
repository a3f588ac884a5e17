package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// small is a file system of so many MiB at a folder of the rig.
func (r *rig) small(name string, mib int) string {
	r.Helper()
	dir := r.path(name)
	must(r.T, os.MkdirAll(dir, 0o755))
	must(r.T, unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0755", mib)))
	r.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // the rig looks after what is left
	return dir
}

// grow makes room.
func (r *rig) grow(dir string, mib int) {
	r.Helper()
	must(r.T, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%dm", mib)))
}

// plain is a desktop of so many MiB without anything odd.
func (r *rig) plain(name string, mib int) string {
	r.Helper()
	root := r.path(name)
	must(r.T, os.Mkdir(root, 0o755))
	for i := range mib {
		must(r.T, os.WriteFile(filepath.Join(root, fmt.Sprintf("file-%03d", i)), noise(1<<20), 0o644))
	}
	return root
}

// TestFullUnderBacking: a disk that is full under a stream says so, loses
// nothing, and the stream goes on by itself when there is room (invariants 4
// and 9).
func TestFullUnderBacking(t *testing.T) {
	r := serving(t)
	e := r.endpoint("office", "")
	root := r.plain("root", 60)
	r.snapshot(e, "desk", root)
	disk := r.small("disk", 30)
	target := filepath.Join(disk, "desk")
	p := r.stopped(e.Stream(r.ctx, "desk", target))
	said := r.status(e, target, "the stream says that the disk is full", func(s lab.Streaming) bool {
		return strings.Contains(s.Message, "no space left")
	})
	if said.Phase != "waiting" {
		t.Errorf("a full disk is told as %q: %q, want waiting", said.Phase, said.Message)
	}
	if got, err := os.ReadFile(filepath.Join(target, "file-000")); err == nil && len(got) != 1<<20 {
		t.Errorf("a file on a full disk has %d bytes", len(got))
	}
	r.grow(disk, 200)
	s, err := lab.EndStream(r.ctx, p)
	must(t, err)
	if s.Phase != "native" {
		t.Errorf("the stream ended as %q", s.Phase)
	}
	r.same(root, target)
}

// TestFullUnderVolume: a volume that is full stops an upload with words about
// it, and the upload goes on when there is room (invariants 2 and 9).
func TestFullUnderVolume(t *testing.T) {
	r := newRig(t)
	volume := r.small("volume", 24)
	r.server.Args = []string{"--volume", volume}
	r.start()
	e := r.endpoint("office", "")
	before := r.plain("before", 4)
	r.snapshot(e, "before", before)
	root := r.plain("root", 60)
	p, err := e.StartSnapshot("desk", root)
	r.stopped(p, err)
	r.until("the endpoint says that the server is out of space", func() bool {
		select {
		case <-p.Ended():
			return true
		default:
			return strings.Contains(p.Said(), "out of space")
		}
	})
	t.Logf("a full volume is told as: %s", tail(p.Said(), 1))
	r.grow(volume, 300)
	if _, err := lab.EndSnapshot(r.ctx, p); err != nil {
		t.Logf("the snapshot under way ended with %v", err)
		r.snapshot(e, "desk", root)
	}
	for cvd, root := range map[string]string{"before": before, "desk": root} {
		target := r.path("target-" + cvd)
		r.stream(e, cvd, target)
		r.same(root, target)
	}
}

// TestFullUnderPostgres: a disk that is full under the database stops uploads
// with words about it, loses nothing, and all goes on when there is room.
func TestFullUnderPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for retries that are far apart")
	}
	r := newRig(t)
	data := r.small("server", 400)
	r.server.Args = []string{"--volume", r.path("volume")}
	r.start()
	e := r.endpoint("office", "")
	before := r.plain("before", 4)
	r.snapshot(e, "before", before)
	ballast := filepath.Join(data, "ballast")
	r.stuff(ballast)
	root := r.path("root")
	fill(t, root, 5000, 1)
	_, err := r.hurried(e, root)
	t.Logf("a full database is told as: %v", err)
	must(t, os.Remove(ballast))
	r.restart()
	r.snapshot(e, "desk", root)
	for cvd, root := range map[string]string{"before": before, "desk": root} {
		target := r.path("target-" + cvd)
		r.stream(e, cvd, target)
		r.same(root, target)
	}
}

// stuff fills a disk to the last page.
func (r *rig) stuff(path string) {
	r.Helper()
	f, err := os.Create(path)
	must(r.T, err)
	defer f.Close()
	page := make([]byte, 4<<10)
	for err == nil {
		_, err = f.Write(page)
	}
}

// hurried is a snapshot that does not wait for room for ever.
func (r *rig) hurried(e *lab.Endpoint, root string) (string, error) {
	p, err := e.StartSnapshot("desk", root)
	r.stopped(p, err)
	select {
	case <-p.Ended():
	case <-time.After(10 * time.Second):
		must(r.T, p.Interrupt())
	}
	_, err = p.Wait(r.ctx)
	if err == nil {
		r.Error("a snapshot was taken though the database had no room")
	}
	return p.Said(), err
}
