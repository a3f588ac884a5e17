package vfs_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/vfstest"
)

// listDir tells the test binary to list the desktop of TestKilledListing below a directory.
const listDir = "LOOMING_TEST_LIST"

func TestMain(m *testing.M) {
	if dir := os.Getenv(listDir); dir != "" {
		if err := list(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// listTree has one of everything, and much of what takes several steps to make.
func listTree() *vfstest.Tree {
	tr := vfstest.Zoo(&vfstest.World{})
	for i := range 600 {
		body := vfstest.Body(i*11, byte(i))
		tr.AddFile(fmt.Sprintf("many/f%d", i), body, 1).Mode = 0o4750
		links := vfstest.Body(i*13, byte(i))
		tr.AddLinks(tr.File("", links), links, fmt.Sprintf("links1/h%d", i), fmt.Sprintf("links2/h%d", i))
	}
	return tr
}

func openList(dir string, tr *vfstest.Tree) (*vfs.FS, error) {
	root := tr.Finish()
	src := vfstest.NewSource(tr.Map)
	return vfs.Open(context.Background(), vfs.Options{
		Backing: filepath.Join(dir, "backing"), Side: filepath.Join(dir, "side"), Demand: src, Bulk: src, Root: root,
	})
}

func list(dir string) error {
	tr := listTree()
	fmt.Println("ready")
	f, err := openList(dir, tr)
	if err != nil {
		return err
	}
	return f.ListAll(context.Background(), func() {})
}

// A process that lists is killed at any step: listing again makes the same
// desktop, with nothing half made and no link missing or too many.
func TestKilledListing(t *testing.T) {
	tr, kills := listTree(), 0
	for range 100 {
		dir := t.TempDir()
		// Later with every kill, so that a slow machine gets through in the end.
		for n := 1; lister(t, dir, time.Duration(rand.IntN(60*n))*time.Millisecond); n++ {
			kills++
		}
		f, err := openList(dir, listTree())
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		err = errors.Join(f.ListAll(ctx, func() {}), errors.Join(f.Fill(ctx, tr.Files())...), f.Settle())
		rest, remaining := f.Remaining(ctx)
		if err := errors.Join(err, remaining, f.Close(), os.RemoveAll(filepath.Join(dir, "side"))); err != nil || len(rest) > 0 {
			t.Errorf("%v, remaining %q", err, rest)
		}
		(&vfstest.World{T: t, Tree: tr}).Check(vfstest.Dir(filepath.Join(dir, "backing")))
		if kills >= 20 || t.Failed() {
			break
		}
	}
	if kills < 20 {
		t.Errorf("only %d of 20 processes were killed in time", kills)
	}
}

// lister lists until it is killed, or through.
func lister(t *testing.T, dir string, after time.Duration) (killed bool) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), listDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the lister said %q, %v", line, err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_, _ = io.Copy(io.Discard, r)
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		t.Fatal("the lister failed:", err)
	}
	return err != nil
}

// A power cut right after a listing takes the bytes of small files, as journals
// that keep names alone do: they come back, except where the user has changed
// them, and what he removed stays removed (invariants 2 and 4).
func TestPowerCutAfterListing(t *testing.T) {
	tr, dir := listTree(), t.TempDir()
	if lister(t, dir, time.Hour) {
		t.Fatal("the lister was killed")
	}
	back := vfstest.Dir(filepath.Join(dir, "backing"))
	cut := 0
	for p, want := range tr.Want {
		switch {
		case want.Type == cvd.Dir:
			cut += otherBoot(t, back, p)
		case want.Type == cvd.File && len(want.Body) <= cvd.InlineMax:
			for _, err := range []error{back.Truncate(p, 0), back.SetTimes(p, cvd.Time{Nsec: backing.TimeOmit}, want.Mtime)} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if cut < 10 {
		t.Errorf("only %d directories were not settled", cut)
	}
	if err := errors.Join(back.Unlink("many/f7"), write(back, "many/f8", "changed")); err != nil {
		t.Fatal(err)
	}
	delete(tr.Want, "many/f7")
	tr.Want["many/f8"].Body, tr.Want["many/f8"].Touched, tr.Want["many"].Touched = []byte("changed"), true, true
	f, err := openList(dir, listTree())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	err = errors.Join(f.ListAll(ctx, func() {}), errors.Join(f.Fill(ctx, tr.Files())...), f.Settle())
	rest, remaining := f.Remaining(ctx)
	if err := errors.Join(err, remaining, f.Close(), os.RemoveAll(filepath.Join(dir, "side"))); err != nil || len(rest) > 0 {
		t.Errorf("%v, remaining %q", err, rest)
	}
	(&vfstest.World{T: t, Tree: tr}).Check(back)
}

// otherBoot changes the boot in the mark of a directory that is listed and not settled.
func otherBoot(t *testing.T, sys vfstest.System, p string) int {
	t.Helper()
	const mark = "trusted.looming"
	b, err := sys.Getxattr(p, mark)
	if errors.Is(err, syscall.ENODATA) {
		return 0
	}
	m, derr := backing.DecodeMark(b)
	if err = errors.Join(err, derr); err != nil || m.Listed == 0 {
		t.Fatalf("%s: %+v, %v", p, m, err)
	}
	m.Listed ^= 2
	if err := sys.Setxattr(p, mark, m.Encode()); err != nil {
		t.Fatal(err)
	}
	return 1
}

func write(sys vfstest.System, p, data string) error {
	f, err := sys.Open(p, os.O_RDWR|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(data), 0)
	return errors.Join(err, f.Close())
}
