package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/looming-project/looming/tests/e2e/lab"
	"github.com/looming-project/looming/tools/wan/link"
)

// TestMainJob: a real desktop goes up, comes down elsewhere while it is used,
// and is in the end what it was, byte for byte, attribute for attribute
// (invariants 1 and 4).
func TestMainJob(t *testing.T) {
	r := serving(t)
	desktop, some := r.debian(), []string{"etc/debian_version", "usr/bin/git", "usr/lib/python3.11/os.py", "home/user/Documents/project00/note012.txt"}
	if testing.Short() {
		desktop, some = r.path("root"), []string{"large-2", "small-03/170", "odd/sizes/noise-65536"}
		fill(t, desktop, 500, 3)
		time.Sleep(3 * time.Second) // what has just been written is read again, for its time may not tell of the next write
	}
	office := r.endpoint("office", "")
	first := r.snapshot(office, "debian", desktop)
	if first.BytesRead == 0 || first.Unreadable != 0 {
		t.Errorf("the first snapshot read %d bytes and could not read %d files", first.BytesRead, first.Unreadable)
	}
	if second := r.snapshot(office, "debian", desktop); second.BytesRead != 0 || second.BytesSent != 0 {
		t.Errorf("an unchanged desktop: %d bytes read, %d sent, want none", second.BytesRead, second.BytesSent)
	}
	_, addr := r.line(link.Options{Down: 200 * link.Mbit, Delay: 5 * time.Millisecond})
	laptop := r.endpoint("laptop", addr)
	must(t, r.server.Assign(r.ctx, "debian", "laptop"))
	target := r.path("desk")
	p := r.stopped(laptop.Stream(r.ctx, "debian", target))
	for _, name := range some {
		want, err := os.ReadFile(filepath.Join(desktop, name))
		must(t, err)
		got, err := os.ReadFile(filepath.Join(target, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, read while the desktop streams: %d bytes (%v), want %d", name, len(got), err, len(want))
		}
	}
	if !lab.Mounted(target) {
		t.Error("the desktop was native before it was used: the line is too fast for this test")
	}
	s, err := lab.EndStream(r.ctx, p)
	must(t, err)
	if s.Phase != "native" || lab.Mounted(target) {
		t.Errorf("the stream ended as %q, mounted: %v", s.Phase, lab.Mounted(target))
	}
	r.same(desktop, target)
}

// TestSecondMachine: a machine like one that is there adds only what differs,
// and what it claims to have it must prove (invariant 8).
func TestSecondMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("a real desktop goes up twice and comes down twice")
	}
	r := serving(t)
	desktop := r.debian()
	first := r.endpoint("first", "")
	r.snapshot(first, "first", desktop)
	other := r.path("other")
	r.stream(first, "first", other) // no program copies everything that is in there
	noise := noise(3 << 20)
	must(t, os.WriteFile(filepath.Join(other, "home/user/new.bin"), noise, 0o644))
	must(t, os.WriteFile(filepath.Join(other, "etc/hostname"), []byte("second\n"), 0o644))
	must(t, os.Rename(filepath.Join(other, "home/user/Pictures"), filepath.Join(other, "home/user/Photos")))
	before, err := r.server.Stats(r.ctx)
	must(t, err)
	second := r.endpoint("second", "")
	taken := r.snapshot(second, "second", other)
	after, err := r.server.Stats(r.ctx)
	must(t, err)
	t.Logf("a second machine of %d bytes sent %d and added %d to the packs", taken.Bytes, taken.BytesSent, after.PackBytes-before.PackBytes)
	if most := int64(len(noise)) + 1<<20; after.PackBytes-before.PackBytes > most {
		t.Errorf("it added %d bytes to the packs, want at most %d", after.PackBytes-before.PackBytes, most)
	}
	target := r.path("desk")
	r.stream(second, "second", target)
	r.same(other, target)
}

// TestColdStart: programs start from a cold mount with a small part of the
// desktop fetched.
func TestColdStart(t *testing.T) {
	r := serving(t)
	e := r.endpoint("office", "")
	taken := r.snapshot(e, "debian", r.debian())
	point := r.path("desk")
	p := r.stopped(e.Mount(r.ctx, "debian", point, "--backing", r.path("backing")))
	for _, run := range []struct {
		name string
		args []string
		want string
	}{
		{"/bin/sh", []string{"-c", "echo $((6 * 7)); ls /usr/bin | head -1"}, "42\n[\n"},
		{"/usr/bin/python3", []string{"-c", "import json, re, subprocess; print(json.dumps([1, 2]))"}, "[1, 2]\n"},
		{"/usr/bin/git", []string{"init", "-q", "/tmp/repository"}, ""},
		{"/usr/bin/git", []string{"-C", "/tmp/repository", "rev-parse", "--is-inside-work-tree"}, "true\n"},
	} {
		out, err := lab.Run(r.ctx, lab.Within(point, run.name, run.args...))
		if err != nil || string(out) != run.want {
			t.Errorf("%s %q: %q (%v), want %q", run.name, run.args, out, err, run.want)
		}
	}
	s, err := e.Status(r.ctx, r.path("backing"))
	must(t, err)
	fetched := s.DemandBytes + s.PrefetchBytes
	t.Logf("%d of %d bytes were fetched (%.1f per cent)", fetched, taken.Bytes, 100*float64(fetched)/float64(taken.Bytes))
	if fetched == 0 || fetched*100 >= taken.Bytes*15 {
		t.Errorf("%d of %d bytes were fetched, want less than 15 per cent", fetched, taken.Bytes)
	}
	must(t, p.Interrupt())
	if lab.Mounted(point) {
		t.Error("an interrupted mount is still mounted")
	}
}
