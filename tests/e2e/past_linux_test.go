package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/looming-project/looming/tests/e2e/lab"
	"github.com/looming-project/looming/tools/tree/compare"
)

// TestPast: every snapshot is in the mount as it was, under a name by which it can be restored as
// well; the desktop, its snapshots and its pivot know nothing of that but who reads there (invariant 1).
func TestPast(t *testing.T) {
	r := serving(t)
	e := r.endpoint("office", "")
	root := r.path("root")
	fill(t, root, 100, 1)
	first := r.snapshot(e, "desk", root)
	hosts, changed := filepath.Join(root, "hosts"), filepath.Join(root, "small-00/7")
	was, err := os.ReadFile(changed)
	must(t, err)
	must(t, os.WriteFile(changed, []byte("changed\n"), 0o644))
	must(t, os.WriteFile(hosts, []byte("new\n"), 0o644))
	second := r.snapshot(e, "desk", root)
	target := r.path("target")
	p := r.stopped(e.Stream(r.ctx, "desk", target, "--no-pivot"))
	r.status(e, target, "all is here", func(s lab.Streaming) bool { return s.Phase == "filled" })

	names := entries(t, filepath.Join(target, ".snapshots"))
	if len(names) == 2 && strings.HasSuffix(names[1], first.Snapshot) {
		slices.Reverse(names) // taken within one second
	}
	if len(names) != 2 || !strings.HasSuffix(names[0], first.Snapshot) || !strings.HasSuffix(names[1], second.Snapshot) {
		t.Fatalf("the snapshots are %q, want %s and %s", names, first.Snapshot, second.Snapshot)
	}
	old := filepath.Join(target, ".snapshots", names[0])
	_, err = compare.Trees(r.ctx, root, old, compare.Options{}) // until all is listed, not all names of a file are known
	must(t, err)
	r.same(root, old, "hosts", "small-00", "small-00/7")
	for _, name := range []string{names[0], first.Snapshot[:6], first.Snapshot} {
		got, err := os.ReadFile(filepath.Join(target, ".snapshots", name, "small-00/7"))
		if err != nil || !bytes.Equal(got, was) {
			t.Errorf("the file as it was, in %s: %d bytes, %v", name, len(got), err)
		}
		to := r.path("restored-" + name)
		_, err = lab.Run(r.ctx, e.Command("restore", "--cvd", "desk", "--snapshot", name, "small-00/7", "--to", to))
		must(t, err)
		if got, err := os.ReadFile(filepath.Join(to, "7")); err != nil || !bytes.Equal(got, was) {
			t.Errorf("the file as it was, restored from %s: %d bytes, %v", name, len(got), err)
		}
	}
	copied := r.snapshot(e, "copy", target)
	if copied.Files != second.Files || copied.Dirs != second.Dirs {
		t.Errorf("a snapshot of the mount has %d files and %d directories, the desktop %d and %d", copied.Files, copied.Dirs, second.Files, second.Dirs)
	}
	third := r.snapshot(e, "desk", root)
	if names := entries(t, filepath.Join(target, ".snapshots")); len(names) != 3 || !strings.HasSuffix(names[2], third.Snapshot) {
		t.Errorf("with a new snapshot, they are %q", names)
	}
	r.heldByThePast(e, target, filepath.Join(old, "large-0"))
	if _, err := lab.EndStream(r.ctx, p); err != nil {
		t.Fatal(err)
	}
	r.same(root, target)
}

// heldByThePast wants a pivot to wait for whoever has a file of the past open, to say who that is, and to go on afterwards.
func (r *rig) heldByThePast(e *lab.Endpoint, target, file string) {
	r.Helper()
	in, err := os.Open(file)
	must(r.T, err)
	holder := exec.Command("sleep", "600")
	holder.Stdin = in
	must(r.T, holder.Start())
	must(r.T, in.Close())
	pivot := r.stopped(lab.Start(e.Command("pivot", target)))
	s := r.status(e, target, "the pivot waits", func(s lab.Streaming) bool { return s.Phase == "waiting" })
	if !strings.Contains(s.Message, "sleep") || !strings.Contains(s.Message, ".snapshots") {
		r.Errorf("it waits for %q, want the one who has %s open", s.Message, file)
	}
	must(r.T, holder.Process.Kill())
	_ = holder.Wait() // it was killed
	_, err = pivot.Wait(r.ctx)
	must(r.T, err)
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}
