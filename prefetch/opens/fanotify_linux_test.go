package opens

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// told are the opens that were told, by path.
type told struct {
	mu  sync.Mutex
	of  map[string][]uint32
	any chan struct{}
}

func (t *told) used(path string, user uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of[path] = append(t.of[path], user)
	select {
	case t.any <- struct{}{}:
	default:
	}
}

func (t *told) users(path string) []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of[path]
}

// watch runs a watcher over a file system of its own until the test ends.
func watch(t *testing.T, o Options) (dir string, got *told) {
	t.Helper()
	top := t.TempDir()
	if err := os.Chmod(filepath.Dir(top), 0o755); err != nil { // for other users
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", top, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatalf("%v: this test mounts a tmpfs, as root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(top, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir = filepath.Join(top, "desktop")
	for _, d := range []string{dir, filepath.Join(dir, "etc"), filepath.Join(top, "other")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got = &told{of: map[string][]uint32{}, any: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, dir, got.used, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return dir, got
}

func put(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// cat opens files in a process of a user's.
func cat(t *testing.T, user uint32, paths ...string) {
	t.Helper()
	cmd := exec.Command("cat", paths...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// until opens a file again and again until that is told: the watcher may be about to begin, or be pausing.
func (got *told) until(t *testing.T, path, name string) {
	t.Helper()
	for len(got.users(name)) == 0 { // the test's own deadline ends it
		cat(t, 0, path)
		select {
		case <-got.any:
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// openEnv has this test's program open a file, and do nothing else.
const openEnv = "OPENS_TEST_OPEN"

func TestMain(m *testing.M) {
	if path := os.Getenv(openEnv); path != "" {
		if _, err := os.ReadFile(path); err != nil {
			panic(err)
		}
		time.Sleep(100 * time.Millisecond) // so that it is not gone before it is looked at
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// What others open below the root is told with who it was, by its path; what this program opens, in whatever process,
// directories, and what lies elsewhere on the file system are not.
func TestOpens(t *testing.T) {
	dir, got := watch(t, Options{Slice: 100 * time.Millisecond})
	begun, file, end := put(t, filepath.Join(dir, "begun")), put(t, filepath.Join(dir, "etc/file")), put(t, filepath.Join(dir, "end"))
	other := put(t, filepath.Join(dir, "../other/x"))
	got.until(t, begun, "begun")
	if _, err := os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	again := exec.Command(os.Args[0])
	again.Env = append(os.Environ(), openEnv+"="+file)
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	time.Sleep(200 * time.Millisecond) // for two slices
	if n := len(got.users("etc/file")); n != 0 {
		t.Errorf("%d opens of this program were told", n)
	}
	cat(t, 1234, file, other)
	if err := exec.Command("ls", dir).Run(); err != nil {
		t.Fatal(err)
	}
	got.until(t, end, "end")
	got.mu.Lock()
	defer got.mu.Unlock()
	if len(got.of) != 3 || len(got.of["etc/file"]) != 1 {
		t.Errorf("told %v", got.of)
	}
}

// A bulk job is not told, and what a person opens after it is.
func TestBulkIsNotTold(t *testing.T) {
	dir, got := watch(t, Options{Slice: 100 * time.Millisecond, Most: 50})
	begun, end := put(t, filepath.Join(dir, "begun")), put(t, filepath.Join(dir, "end"))
	got.until(t, begun, "begun")
	var many []string
	for i := range 3000 {
		many = append(many, put(t, filepath.Join(dir, fmt.Sprintf("f%d", i))))
	}
	cat(t, 0, many...)
	got.until(t, end, "end")
	n := 0
	for i := range many {
		n += len(got.users(fmt.Sprintf("f%d", i)))
	}
	if n > 50 {
		t.Errorf("%d files of a bulk job were told", n)
	}
}
