package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/durable/durabletest"
)

// The child of TestKilledWriter dies at the operation that the environment names.
const (
	envPath  = "DURABLE_TEST_PATH"
	envCrash = "DURABLE_TEST_CRASH"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(envPath); path != "" {
		n, err := strconv.Atoi(os.Getenv(envCrash))
		if err == nil {
			durable.SetFault(durabletest.At(n, durabletest.Kill))
			err = durable.WriteFile(path, []byte("new"), 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func ops(t *testing.T, work func() error) []string {
	t.Helper()
	f, log := durabletest.Record()
	restore := durable.SetFault(f)
	err := work()
	restore()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, op := range *log {
		out = append(out, op.Name+" "+filepath.Base(op.Path))
	}
	return out
}

// What makes a file durable is the order: bytes, sync, name, sync of the directory.
func TestOrderOfOperations(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "f")
	got := ops(t, func() error { return durable.WriteFile(path, []byte("x"), 0o600) })
	if len(got) != 5 || got[0] != "create f" || got[1] != "write f" || got[2] != "sync f" ||
		!strings.HasPrefix(got[3], "rename .looming-") || got[4] != "syncdir d" {
		t.Errorf("WriteFile: %q", got)
	}
	for _, test := range []struct {
		name string
		work func() error
		want []string
	}{
		{
			"MkdirAll", func() error { return durable.MkdirAll(filepath.Join(dir, "a/b"), 0o755) },
			[]string{"syncdir " + filepath.Base(filepath.Dir(dir)), "mkdir a", "syncdir d", "mkdir b", "syncdir a"},
		},
		{
			"Rename", func() error { return durable.Rename(path, filepath.Join(dir, "a/f")) },
			[]string{"rename f", "syncdir a", "syncdir d"},
		},
		{
			"RenameNoReplace", func() error { return durable.RenameNoReplace(filepath.Join(dir, "a/f"), path) },
			[]string{"rename f", "syncdir d", "syncdir a"},
		},
		{"RenameLazy", func() error { return durable.RenameLazy(path, filepath.Join(dir, "g")) }, []string{"rename f"}},
		{"Remove", func() error { return durable.Remove(filepath.Join(dir, "g")) }, []string{"remove g", "syncdir d"}},
		{"RemoveAll", func() error { return durable.RemoveAll(filepath.Join(dir, "a")) }, []string{"remove a", "syncdir d"}},
		{"SyncFS", func() error { return durable.SyncFS(dir) }, []string{"syncfs d"}},
	} {
		if got := ops(t, test.work); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// A disk error at any operation leaves the old content, or the new one when the name has appeared; it is told, it can
// be asked for with errors.Is, and nothing is left beside the file.
func TestWriteFileDiskErrors(t *testing.T) {
	for _, disk := range []error{syscall.ENOSPC, syscall.EIO} {
		for n := 1; ; n++ {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			write(t, path, "old")
			var at durable.Op
			restore := durable.SetFault(durabletest.At(n, func(op durable.Op) error { at = op; return disk }))
			err := durable.WriteFile(path, []byte("new"), 0o644)
			restore()
			if err == nil {
				if at.Name != "" {
					t.Errorf("%v at %+v was not told", disk, at)
				}
				if n != 11 {
					t.Errorf("the run without a fault was number %d, want 11: five operations with two calls each", n)
				}
				break
			}
			renamed := at.Name == durable.OpSyncDir || at.Name == durable.OpRename && at.After
			if want := map[bool]string{false: "old", true: "new"}[renamed]; read(t, path) != want {
				t.Errorf("%v at %+v: content %q, want %q", disk, at, read(t, path), want)
			}
			synced := at.Name == durable.OpSync || at.Name == durable.OpSyncDir
			if !errors.Is(err, disk) || errors.Is(err, durable.ErrSync) != synced || !strings.Contains(err.Error(), path) &&
				!strings.Contains(err.Error(), dir) {
				t.Errorf("%v at %+v: error %v", disk, at, err)
			}
			if got := names(t, dir); !slices.Equal(got, []string{"f"}) {
				t.Errorf("%v at %+v left %q", disk, at, got)
			}
		}
	}
}

// A writer that is killed at any operation leaves the old content or the new one, and CleanTemp finds the rest.
func TestKilledWriter(t *testing.T) {
	for n := 1; ; n++ {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		write(t, path, "old")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envPath+"="+path, envCrash+"="+strconv.Itoa(n))
		out, err := cmd.CombinedOutput()
		got := read(t, path)
		if err == nil {
			if got != "new" || n != 11 {
				t.Errorf("run %d came to its end with %q", n, got)
			}
			break
		}
		if len(out) > 0 || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("run %d: %v\n%s", n, err, out)
		}
		if got != "old" && got != "new" {
			t.Errorf("killed at %d: content %q", n, got)
		}
		if _, err := durable.CleanTemp(dir); err != nil {
			t.Error(err)
		}
		if got := names(t, dir); !slices.Equal(got, []string{"f"}) {
			t.Errorf("killed at %d: %q are left", n, got)
		}
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, strings.Repeat("n", 255)) // the temporary name must fit beside the longest name
	f, err := durable.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Abort()
	if _, err := f.Write([]byte("hello world")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("W"), 6); err != nil {
		t.Fatal(err)
	}
	if err := f.Chmod(0o640); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 1 || !durable.IsTemp(got[0]) {
		t.Errorf("before Commit the directory holds %q", got)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	f.Abort()
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o640 || read(t, path) != "hello World" {
		t.Errorf("%v %v", info, err)
	}
	if err := f.Commit(); !errors.Is(err, durable.ErrUnfinished) || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Commit: %v", err)
	}
	if _, err := f.Write(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Write after Commit: %v", err)
	}
}

// A caller who overlooks a failed write cannot put the torn file in place.
func TestCommitAfterFailedWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, "old")
	f, err := durable.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	restore := durable.SetFault(durabletest.At(1, durabletest.Fail(syscall.ENOSPC)))
	_, _ = f.Write([]byte("torn"))
	restore()
	_, _ = f.Write([]byte("rest"))
	if err := f.Commit(); !errors.Is(err, durable.ErrUnfinished) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Commit: %v", err)
	}
	if got := names(t, dir); read(t, path) != "old" || len(got) != 1 {
		t.Errorf("left %q with %q", got, read(t, path))
	}
}

func TestNoReplace(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, a, "a")
	write(t, b, "b")
	if err := durable.RenameNoReplace(a, b); !errors.Is(err, fs.ErrExist) {
		t.Errorf("RenameNoReplace over a file: %v", err)
	}
	f, err := durable.Create(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.CommitNew(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("CommitNew over a file: %v", err)
	}
	if got := names(t, dir); read(t, b) != "b" || len(got) != 2 {
		t.Errorf("left %q, %q", got, read(t, b))
	}
	if f, err = durable.Create(filepath.Join(dir, "c")); err == nil {
		err = f.CommitNew()
	}
	if err != nil {
		t.Error(err)
	}
}

func TestMkdirAllOverFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), "")
	for _, path := range []string{"f", "f/g"} {
		if err := durable.MkdirAll(filepath.Join(dir, path), 0o755); err == nil {
			t.Errorf("MkdirAll %s made a directory of a file", path)
		}
	}
}

func TestIsTemp(t *testing.T) {
	for _, name := range []string{".looming-.tmp", ".looming-x.tmp", "looming-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp", "a", ""} {
		if durable.IsTemp(name) {
			t.Errorf("%q is taken for a temporary file", name)
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".looming-mine"), "keep")
	if n, err := durable.CleanTemp(dir); n != 0 || err != nil {
		t.Errorf("CleanTemp: %d %v", n, err)
	}
}

func TestSyncFileAndData(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, sync := range []func(*os.File) error{durable.SyncFile, durable.SyncData} {
		if err := sync(f); err != nil {
			t.Error(err)
		}
		restore := durable.SetFault(durabletest.From(1, durabletest.Fail(syscall.EIO)))
		err := sync(f)
		restore()
		if !errors.Is(err, durable.ErrSync) || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), f.Name()) {
			t.Errorf("failed sync: %v", err)
		}
	}
}

func BenchmarkHookUnset(b *testing.B) {
	f, err := durable.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Abort()
	buf := bytes.Repeat([]byte{1}, 1)
	for b.Loop() {
		if _, err := f.WriteAt(buf, 0); err != nil {
			b.Fatal(err)
		}
	}
}
