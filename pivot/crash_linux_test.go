package pivot

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// world is a target and the two desktops that may be there.
type world struct {
	Layout
	old, new map[string]string
}

// newWorld puts a complete new desktop into the backing directory. The old desktop is an empty mount point, or a tree.
func newWorld(t *testing.T, oldTree bool) *world {
	t.Helper()
	l, err := For(filepath.Join(t.TempDir(), "desk"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Layout: l}
	grow(t, l.Backing, "new")
	if err := os.Mkdir(l.Target, 0o755); err != nil {
		t.Fatal(err)
	}
	if oldTree {
		grow(t, l.Target, "old")
	}
	if err := os.WriteFile(filepath.Join(l.Work, "stream.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.old, w.new = list(t, l.Target), list(t, l.Backing)
	t.Cleanup(func() { unmountAll(t, l.Target) })
	return w
}

func grow(t *testing.T, dir, what string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, what, "a b\tc", "deep"), 0o750))
	must(os.WriteFile(filepath.Join(dir, "file"), []byte(what), 0o640))
	must(os.WriteFile(filepath.Join(dir, what, "set"), []byte(strings.Repeat(what, 5000)), 0o600))
	must(os.Symlink("../file", filepath.Join(dir, what, "link")))
	must(os.Chmod(dir, 0o711))
}

// list maps each path of a tree to all that a test compares.
func list(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		body, _ := os.Readlink(path)
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			body = string(data)
		}
		xattrs, err := unix.Llistxattr(path, nil)
		if err != nil && !errors.Is(err, unix.ENOTSUP) {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		got[rel] = fmt.Sprint(info.Mode(), info.ModTime().UnixNano(), xattrs, body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func unmountAll(t *testing.T, path string) {
	for range 10 {
		if at, err := mountsAt(path); err != nil || len(at) == 0 {
			return
		}
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
			return
		}
	}
}

// power takes dead mounts away, as the end of a machine does.
func (w *world) power(t *testing.T) {
	t.Helper()
	unmountAll(t, w.Target)
}

// check holds invariant 6: beneath any mount, TARGET is exactly the old desktop or the new one, and the other is not lost.
func (w *world) check(t *testing.T, when string) (isNew bool) {
	t.Helper()
	w.power(t)
	got := list(t, w.Target)
	isNew = maps.Equal(got, w.new)
	if !isNew && !maps.Equal(got, w.old) {
		t.Fatalf("%s: TARGET is neither the old desktop nor the new one: %v", when, got)
	}
	r, err := Recover(w.Target)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	if r.Stage == Unclear || r.Stage.Native() && !isNew || r.Advice() == "" {
		t.Fatalf("%s: Recover says %v (%s), TARGET is new: %v; %+v", when, r.Stage, r.Advice(), isNew, r.Facts)
	}
	if !isNew && !maps.Equal(list(t, w.Backing), w.new) {
		t.Fatalf("%s: the new desktop is lost", when)
	}
	return isNew
}

// clean holds that nothing of Looming is left.
func (w *world) clean(t *testing.T, when string) {
	t.Helper()
	if !w.check(t, when) {
		t.Fatalf("%s: TARGET is not the new desktop", when)
	}
	left, err := os.ReadDir(filepath.Dir(w.Target))
	if err != nil || len(left) != 1 {
		t.Fatalf("%s: %v is left, %v", when, left, err)
	}
}

// scenario is a life of a target in which the process dies somewhere.
type scenario struct {
	name    string
	mount   bool
	oldTree bool
	verb    string // after a first run that lives, unless it is run itself
}

var scenarios = []scenario{
	{name: "mounted", mount: true, verb: "run"},
	{name: "mounted over an old desktop", mount: true, oldTree: true, verb: "run"},
	{name: "not mounted", verb: "run"},
	{name: "accept", oldTree: true, verb: "accept"},
	{name: "revert", oldTree: true, verb: "revert"},
}

// prepare brings a fresh world to where the scenario's verb starts.
func (s scenario) prepare(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, s.oldTree)
	if s.verb != "run" {
		s.order(w, "run", "", 0).start(t)
		if !w.check(t, "first run") {
			t.Fatal("the first run did not switch")
		}
	}
	return w
}

func (s scenario) order(w *world, verb, death string, at int) order {
	return order{verb: verb, target: w.Target, mount: s.mount, replace: s.oldTree, death: death, at: at}
}

// finish lets the verb run to its end, then everything. Every other time nobody mounts again, so that the run itself
// meets the dead mount.
func (s scenario) finish(t *testing.T, w *world, when string, remount bool) {
	t.Helper()
	first := s.order(w, s.verb, "", 0)
	first.mount = first.mount && remount
	first.start(t)
	switch {
	case s.verb == "revert":
		if w.check(t, when) {
			t.Fatalf("%s: reverted, but TARGET is the new desktop", when)
		}
		s.order(w, "run", "", 0).start(t)
	case s.verb == "accept" || !s.oldTree:
		w.clean(t, when)
		return
	}
	if !w.check(t, when) || !maps.Equal(list(t, w.Old), w.old) {
		t.Fatalf("%s: the old desktop is not kept", when)
	}
	s.order(w, "accept", "", 0).start(t)
	w.clean(t, when)
}

// TestDeathAtEveryOperation kills a real process, with a real FUSE mount, at every durable operation of a pivot, of an
// accept and of a revert, and kills the process that recovers at another one; once with what was renamed kept, once with
// an unsynced rename undone. After each death TARGET is exactly the old tree or the new one, and a run that is repeated
// comes to the end without manual repair (invariant 6).
func TestDeathAtEveryOperation(t *testing.T) {
	for _, s := range scenarios {
		for _, death := range []string{"kill", "cut"} {
			t.Run(s.name+", "+death, func(t *testing.T) {
				t.Parallel()
				deaths := 0
				for at := 1; s.dieAt(t, death, at); at++ {
					deaths++
				}
				if deaths < 6 {
					t.Errorf("only %d deaths: the faults do not reach the work", deaths)
				}
				t.Logf("%d deaths", deaths)
			})
		}
	}
}

// dieAt reports whether the process lived long enough to die at its at-th call.
func (s scenario) dieAt(t *testing.T, death string, at int) bool {
	t.Helper()
	lives := []int{0, 1 + at*7%17} // the one who recovers lives, or dies at a place that moves with at
	if testing.Short() {
		lives = lives[:1]
	}
	for _, next := range lives {
		w := s.prepare(t)
		when := fmt.Sprintf("death %d, then %d", at, next)
		if !s.order(w, s.verb, death, at).start(t) {
			return false
		}
		if death == "cut" {
			w.check(t, when)
		}
		if next > 0 {
			s.order(w, s.verb, death, next).start(t)
			w.check(t, when)
		}
		s.finish(t, w, when, at%2 == 0)
	}
	return true
}
