package pivot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/durable/durabletest"
)

// A user without any rights of root pivots a directory of his own: fusermount unmounts, and what lies beneath the mount
// cannot be looked at before.
func TestOrdinaryUser(t *testing.T) {
	const nobody = 65534
	if os.Getuid() != 0 || os.Getenv(envInside) == "" {
		t.Skip("changing to another user needs root")
	}
	for _, oldTree := range []bool{false, true} {
		w := newWorld(t, oldTree)
		for dir := filepath.Dir(w.Target); dir != os.TempDir(); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		err := filepath.WalkDir(filepath.Dir(w.Target), func(path string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, nobody, nobody))
		})
		if err != nil {
			t.Fatal(err)
		}
		o := order{verb: "run", target: w.Target, mount: true, replace: oldTree, uid: nobody}
		o.at, o.death = 6, "kill"
		if !o.start(t) {
			t.Fatal("it did not die")
		}
		o.at = 0
		o.start(t)
		if oldTree {
			o.verb = "accept"
			o.start(t)
		}
		w.clean(t, "as an ordinary user")
	}
}

// While anything is missing nothing changes, and the error names it.
func TestNotNative(t *testing.T) {
	w, host := mounted(t, false)
	missing := filepath.Join(w.Backing, "new/placeholder")
	if err := os.WriteFile(missing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), options(w, host))
	if !errors.Is(err, ErrNotNative) || !strings.Contains(err.Error(), missing) {
		t.Errorf("error %v", err)
	}
	if r.Unmounted || r.Stage != Streaming || host.quiet {
		t.Errorf("%+v, quiet %v", r, host.quiet)
	}
	if err := os.Remove(filepath.Join(w.Target, "new/placeholder")); err != nil {
		t.Errorf("the mount does not serve any more: %v", err)
	}
	w.new = list(t, w.Backing)
	if _, err := Run(t.Context(), options(w, host)); err != nil {
		t.Fatal(err)
	}
	w.clean(t, "when it is there")
}

// Files beneath the mount are seen before the mount is taken away.
func TestTargetHoldsFiles(t *testing.T) {
	w, host := mounted(t, true)
	r, err := Run(t.Context(), options(w, host))
	if !errors.Is(err, ErrNotEmpty) || r.Unmounted {
		t.Fatalf("%+v %v", r, err)
	}
	o := options(w, host)
	o.Replace = true
	if r, err = Run(t.Context(), o); err != nil || r.Stage != Proving || r.Old != w.Old {
		t.Fatalf("%+v %v", r, err)
	}
	if r, err = Revert(t.Context(), w.Target, "it does not start", nil); err != nil || r.Stage != Reverted || w.check(t, "reverted") {
		t.Fatalf("%+v %v", r, err)
	}
	if _, err = Run(t.Context(), o); !errors.Is(err, ErrReverted) || !strings.Contains(err.Error(), "it does not start") {
		t.Errorf("forward after a revert: %v", err)
	}
	if _, err = Accept(t.Context(), w.Target, nil); !errors.Is(err, ErrNotSwitched) {
		t.Errorf("accept after a revert: %v", err)
	}
	o.Again = true
	if r, err = Run(t.Context(), o); err != nil || r.Stage != Proving {
		t.Fatalf("again: %+v %v", r, err)
	}
	if r, err = Accept(t.Context(), w.Target, nil); err != nil || r.Stage != Nothing {
		t.Fatalf("%+v %v", r, err)
	}
	w.clean(t, "accepted")
	if _, err = Revert(t.Context(), w.Target, "", nil); !errors.Is(err, ErrNoOld) {
		t.Errorf("revert when nothing is kept: %v", err)
	}
}

// A target that is a mount point of its own cannot be switched: the run says so while everything still serves.
func TestTargetIsAnotherMount(t *testing.T) {
	w := newWorld(t, false)
	if err := unix.Mount("tmpfs", w.Target, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	host, err := mountLoopback(w.Layout)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), options(w, host))
	if !errors.Is(err, ErrStillMounted) || r.Unmounted || !strings.Contains(err.Error(), w.Target) {
		t.Errorf("%+v %v", r, err)
	}
	if got, err := os.ReadFile(filepath.Join(w.Target, "file")); string(got) != "new" {
		t.Errorf("the mount does not serve any more: %v", err)
	}
}

// Without exchange an empty TARGET is renamed over; an old desktop is refused, since it could not be kept.
func TestFileSystemWithoutExchange(t *testing.T) {
	restore := durable.SetFault(func(op durable.Op) error {
		if op.Name == durable.OpExchange {
			return fmt.Errorf("test: %w", errors.ErrUnsupported)
		}
		return nil
	})
	defer restore()
	w, host := mounted(t, false)
	if _, err := Run(t.Context(), options(w, host)); err != nil {
		t.Fatal(err)
	}
	w.clean(t, "over an empty directory")
	w, host = mounted(t, true)
	o := options(w, host)
	o.Replace = true
	if r, err := Run(t.Context(), o); !errors.Is(err, ErrNoExchange) || !r.Unmounted || w.check(t, "refused") {
		t.Fatalf("%+v %v", r, err)
	}
}

// A disk error at any operation is told with the system's own error; the desktop is the old one or the new one, the mount
// serves unless Result says otherwise, nobody is held back, and a run when the disk is well again comes to the end.
func TestDiskErrors(t *testing.T) {
	for disk, oldTree := range map[error]bool{syscall.ENOSPC: false, syscall.EIO: true} {
		at := 1
		for diskError(t, disk, oldTree, at) {
			at++
		}
		if at < 15 {
			t.Errorf("only %d operations: the faults do not reach the work", at)
		}
	}
}

func diskError(t *testing.T, disk error, oldTree bool, at int) bool {
	t.Helper()
	w, host := mounted(t, oldTree)
	o := options(w, host)
	o.Replace = oldTree
	var hit durable.Op
	restore := durable.SetFault(durabletest.At(at, func(op durable.Op) error { hit = op; return disk }))
	r, err := Run(t.Context(), o)
	restore()
	if hit.Name == "" {
		return false
	}
	when := fmt.Sprintf("%v at %+v", disk, hit)
	if !errors.Is(err, disk) || !strings.Contains(err.Error(), w.Target) {
		t.Errorf("%s: error %v", when, err)
	}
	if at, _ := mountsAt(w.Target); host.quiet || r.Unmounted == (len(at) > 0) {
		t.Errorf("%s: %+v, quiet %v, mounts %v", when, r, host.quiet, at)
	}
	if !r.Unmounted {
		if err := os.Chmod(filepath.Join(w.Target, "file"), 0o640); err != nil {
			t.Errorf("%s: the mount does not serve any more: %v", when, err)
		}
	}
	if r, err = Run(t.Context(), o); err != nil {
		t.Fatalf("%s: run again: %v", when, err)
	}
	if oldTree {
		if _, err := Accept(t.Context(), w.Target, nil); err != nil {
			t.Fatalf("%s: accept: %v", when, err)
		}
	}
	w.clean(t, when)
	return true
}

// A really full disk fails while the mount still serves, and the run goes on when there is space.
func TestFullDisk(t *testing.T) {
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmountAll(t, small) })
	l, err := For(filepath.Join(small, "desk"))
	if err != nil {
		t.Fatal(err)
	}
	grow(t, l.Backing, "new")
	w := &world{Layout: l, new: list(t, l.Backing)}
	if err := os.Mkdir(l.Target, 0o755); err != nil {
		t.Fatal(err)
	}
	w.old = list(t, l.Target)
	filler := filepath.Join(l.Work, "filler")
	fill(t, filler)
	host, err := mountLoopback(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmountAll(t, l.Target) })
	r, err := Run(t.Context(), options(w, host))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make space") || r.Unmounted || host.quiet {
		t.Errorf("%+v %v", r, err)
	}
	if got, err := os.ReadFile(filepath.Join(l.Target, "file")); string(got) != "new" {
		t.Errorf("the mount does not serve any more: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), options(w, host)); err != nil {
		t.Fatal(err)
	}
	w.clean(t, "after space was made")
}

// fill takes all space of a file system, to the last byte.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(bytes.Repeat([]byte{1}, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// gapWriter is an Unmounter after which a program writes to the bare mount point at once.
type gapWriter struct {
	*loopback
	w *world
}

func (g gapWriter) Unmount(ctx context.Context) error {
	if err := g.loopback.Unmount(ctx); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(g.w.Target, "precious"), []byte("work"), 0o600)
}

// What a program writes to the mount point in the moment after the unmount is not lost, and the run says so.
func TestWriteInTheGap(t *testing.T) {
	w, host := mounted(t, false)
	o := options(w, host)
	o.Unmount = gapWriter{host, w}
	if r, err := Run(t.Context(), o); !errors.Is(err, ErrNotEmpty) || !r.Unmounted || r.Stage != Ready {
		t.Fatalf("%+v %v", r, err)
	}
	last := ""
	r, err := Run(t.Context(), Options{
		Target: w.Target, Verify: noPlaceholder{}, Replace: true, Report: hears(func(p Progress) { last = p.String() }),
	})
	if err != nil || r.Old == "" || !strings.Contains(last, r.Old) {
		t.Fatalf("%+v %v, told %q", r, err, last)
	}
	if got, err := os.ReadFile(filepath.Join(r.Old, "precious")); string(got) != "work" {
		t.Errorf("%q %v", got, err)
	}
}

// cancels is an Unmounter after which the run's context has ended.
type cancels struct {
	*loopback
	cancel context.CancelFunc
}

func (c cancels) Unmount(ctx context.Context) error {
	defer c.cancel()
	return c.loopback.Unmount(ctx)
}

// Once the mount is gone a run that is cancelled still comes to its end: the desktop must not be nowhere.
func TestCancelledInTheGap(t *testing.T) {
	w, host := mounted(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	o := options(w, host)
	o.Unmount = cancels{host, cancel}
	if r, err := Run(ctx, o); err != nil || r.Stage != Nothing {
		t.Errorf("%+v %v", r, err)
	}
	w.clean(t, "cancelled")
}

// A revert that was broken off is finished by a revert; a run leaves it alone and says so.
func TestBrokenRevert(t *testing.T) {
	w, host := mounted(t, true)
	o := options(w, host)
	o.Replace = true
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	restore := durable.SetFault(func(op durable.Op) error {
		if op.Name == durable.OpExchange {
			return syscall.EIO
		}
		return nil
	})
	r, err := Revert(t.Context(), w.Target, "it does not start", nil)
	restore()
	if !errors.Is(err, syscall.EIO) || r.Stage != Reverting {
		t.Fatalf("%+v %v", r, err)
	}
	if _, err = Run(t.Context(), o); !errors.Is(err, ErrReverted) || !strings.Contains(err.Error(), "revert again") {
		t.Errorf("run: %v", err)
	}
	if r, err = Revert(t.Context(), w.Target, "", nil); err != nil || r.Stage != Reverted || w.check(t, "revert again") {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := Recover(w.Target); err != nil || r.Why != "it does not start" {
		t.Errorf("the first reason is forgotten: %q %v", r.Why, err)
	}
}

// Leave to replace an old desktop does not make one of an empty mount point: what appears there later is somebody's file,
// which is kept but never reverted to.
func TestEmptyTargetIsNoOldDesktop(t *testing.T) {
	w, host := mounted(t, false)
	o := options(w, host)
	o.Replace = true
	restore := durable.SetFault(func(op durable.Op) error {
		if op.Name == durable.OpExchange && !op.After {
			return os.WriteFile(filepath.Join(w.Target, "precious"), []byte("work"), 0o600) // just after the last look
		}
		return nil
	})
	r, err := Run(t.Context(), o)
	restore()
	if err != nil || r.Stage != Proving || r.Old != w.Old {
		t.Fatalf("%+v %v", r, err)
	}
	if got, err := os.ReadFile(filepath.Join(r.Old, "precious")); string(got) != "work" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := Revert(t.Context(), w.Target, "", nil); !errors.Is(err, ErrNoOld) {
		t.Errorf("revert to what is no desktop: %v", err)
	}
}

// The old tree is removed only when nobody has mounted anything in it: removing would go on into that.
func TestAcceptSparesMounts(t *testing.T) {
	w, host := mounted(t, true)
	o := options(w, host)
	o.Replace = true
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	disk := t.TempDir()
	if err := os.WriteFile(filepath.Join(disk, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(w.Old, "old")
	if err := unix.Mount(disk, at, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	_, err := Accept(t.Context(), w.Target, nil)
	inWaste := filepath.Join(w.Waste, "old/old")
	if err == nil || !strings.Contains(err.Error(), inWaste) {
		t.Errorf("accept: %v", err)
	}
	if _, err := os.Stat(filepath.Join(disk, "precious")); err != nil {
		t.Errorf("what was mounted is gone: %v", err)
	}
	if err := unix.Unmount(inWaste, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Accept(t.Context(), w.Target, nil); err != nil {
		t.Fatal(err)
	}
	w.clean(t, "accepted")
}

// Two processes do not pivot one target.
func TestLocked(t *testing.T) {
	w := newWorld(t, false)
	lock, err := tryLock(w.Lock)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Target: w.Target, Verify: noPlaceholder{}}
	if _, err := Run(t.Context(), o); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), w.Target) {
		t.Errorf("second process: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	w.clean(t, "when the first has ended")
}

// Trees that somebody has copied are left alone, with words on what to check.
func TestCopiedTrees(t *testing.T) {
	w := newWorld(t, true)
	o := Options{Target: w.Target, Verify: noPlaceholder{}, Replace: true}
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(w.Target, w.Target+".aside"), os.CopyFS(w.Target, os.DirFS(w.Old))); err != nil {
		t.Fatal(err)
	}
	before := list(t, filepath.Dir(w.Target))
	r, err := Run(t.Context(), o)
	if !errors.Is(err, ErrUnclear) || r.Stage != Unclear || !strings.Contains(err.Error(), w.Work) {
		t.Errorf("%+v %v", r, err)
	}
	after := list(t, filepath.Dir(w.Target))
	for path := range before {
		if strings.Contains(path, "pivot.") || strings.HasSuffix(path, ".looming") {
			continue // the journal
		}
		if before[path] != after[path] {
			t.Errorf("%s was touched", path)
		}
	}
}

func TestTargetsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/", link, filepath.Join(dir, "no/desk")} {
		if _, err := Run(t.Context(), Options{Target: target, Verify: noPlaceholder{}}); err == nil {
			t.Errorf("%s was taken", target)
		}
	}
	if _, err := Run(t.Context(), Options{Target: filepath.Join(dir, "desk")}); err == nil {
		t.Error("a run without a Verifier was taken")
	}
}

// A target to which nothing was streamed, or that is finished, needs nothing; one with an empty work directory says so.
func TestNothingToDo(t *testing.T) {
	w := newWorld(t, false)
	if err := os.RemoveAll(w.Backing); err != nil {
		t.Fatal(err)
	}
	o := Options{Target: w.Target, Verify: noPlaceholder{}}
	if _, err := Run(t.Context(), o); !errors.Is(err, ErrNothing) {
		t.Errorf("without a backing directory: %v", err)
	}
	if err := os.RemoveAll(w.Work); err != nil {
		t.Fatal(err)
	}
	if r, err := Run(t.Context(), o); err != nil || r.Stage != Nothing {
		t.Errorf("without a work directory: %+v %v", r, err)
	}
	if r, err := Recover(w.Target); err != nil || r.Stage != Nothing {
		t.Errorf("%+v %v", r, err)
	}
}

// What is given up is gone, and the target as it was before; a desktop, or a mount that is alive, is no stream to give up.
func TestForget(t *testing.T) {
	w := newWorld(t, false)
	if r, err := Forget(t.Context(), w.Target, nil); err != nil || r.Stage != Nothing {
		t.Errorf("%+v, %v", r, err)
	}
	names, err := os.ReadDir(filepath.Dir(w.Target))
	if err != nil || len(names) != 1 || names[0].Name() != "desk" {
		t.Errorf("left: %v, %v", names, err)
	}
	w = newWorld(t, true)
	o := w.options()
	o.Replace = true
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := Forget(t.Context(), w.Target, nil); !errors.Is(err, ErrSwitched) {
		t.Errorf("a desktop with its old one: %v", err)
	}
	w, _ = mounted(t, false)
	if _, err := Forget(t.Context(), w.Target, nil); !errors.Is(err, ErrStillMounted) {
		t.Errorf("a mount: %v", err)
	}
}

// What lies at a target is seen before anything was streamed to it.
func TestRecoverLooksAtTheTarget(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]Content{"missing": Missing, "empty": Empty, "full": Full} {
		target := filepath.Join(dir, name)
		path := map[Content]string{Missing: dir, Empty: target, Full: filepath.Join(target, "sub")}[want]
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if r, err := Recover(target); err != nil || r.Stage != Nothing || r.Facts.Target != want || r.Facts.Mounted {
			t.Errorf("%s: %+v, %v", name, r.Facts, err)
		}
	}
}

// Recover tells the journal's last line, and does without a journal.
func TestRecoverTellsTheJournal(t *testing.T) {
	w, host := mounted(t, false)
	if err := os.WriteFile(filepath.Join(w.Backing, "placeholder"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, runErr := Run(t.Context(), options(w, host))
	r, err := Recover(w.Target)
	if err != nil || r.Last.Step != Failed.String() || !strings.Contains(r.Last.Text, runErr.Error()) {
		t.Errorf("%+v %v", r, err)
	}
	if err := os.WriteFile(w.Journal, []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err = Recover(w.Target); err != nil || r.Stage != Streaming || r.Last.Text != "" {
		t.Errorf("with a torn journal: %+v %v", r, err)
	}
}

// Any sequence of runs, accepts and reverts, each disturbed by a disk error or by nothing, keeps invariant 6, and ends
// well when the disk does.
func TestRandomLives(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		oldTree := rapid.Bool().Draw(rt, "old tree")
		w := newWorld(t, oldTree)
		accepted := false
		for range rapid.IntRange(1, 6).Draw(rt, "acts") {
			verb := rapid.SampledFrom([]string{"run", "run", "revert", "accept"}).Draw(rt, "verb")
			at := rapid.IntRange(1, 30).Draw(rt, "fault at")
			from := rapid.SampledFrom([]func(int, func(durable.Op) error) func(durable.Op) error{
				durabletest.At, durabletest.From,
			}).Draw(rt, "once or for good")
			restore := durable.SetFault(from(at, durabletest.Fail(syscall.EIO)))
			r := disturb(t, w, verb)
			restore()
			accepted = accepted || verb == "accept" && r.Stage == Nothing
			if isNew := w.check(t, verb); accepted && !isNew {
				rt.Fatalf("an accepted desktop is gone")
			}
		}
		if _, err := Run(t.Context(), w.options()); err != nil {
			if !errors.Is(err, ErrReverted) {
				rt.Fatal(err)
			}
			if _, err := Revert(t.Context(), w.Target, "", nil); err != nil || w.check(t, "reverted") {
				rt.Fatal(err)
			}
			return
		}
		if oldTree && !accepted && !maps.Equal(list(t, w.Old), w.old) {
			if _, err := os.Lstat(w.Work); err == nil {
				rt.Fatalf("the old desktop is not kept")
			}
		}
	})
}

func (w *world) options() Options {
	return Options{Target: w.Target, Verify: noPlaceholder{}, Replace: true, Again: true}
}

func disturb(t *testing.T, w *world, verb string) (r Result) {
	switch verb {
	case "accept":
		r, _ = Accept(t.Context(), w.Target, nil)
	case "revert":
		r, _ = Revert(t.Context(), w.Target, "", nil)
	default:
		r, _ = Run(t.Context(), w.options())
	}
	return r
}
