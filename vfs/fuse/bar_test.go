//go:build linux

package fuse_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/fuse"
	"github.com/looming-project/looming/vfs/vfstest"
)

// A program that is barred lists directories and reads what is here; what is not
// stays where it is, and is an EPERM to it at once. Others read everything.
func TestBarredProgram(t *testing.T) {
	group, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	_, mine, _ := strings.Cut(strings.TrimSpace(strings.SplitN(string(group), "\n", 2)[0]), ":")
	_, mine, _ = strings.Cut(mine, ":")
	scanner := filepath.Join(t.TempDir(), "scanner")
	for bar, others := range map[string]bool{scanner: true, "scanner": true, "cgroup:" + mine: false} {
		t.Run(strings.ReplaceAll(bar, "/", "|"), func(t *testing.T) { barredProgram(t, bar, scanner, others) })
	}
}

func barredProgram(t *testing.T, bar, scanner string, others bool) {
	cat, err := os.ReadFile("/bin/cat")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(scanner, cat, 0o700); err != nil {
		t.Fatal(err)
	}
	d := vfstest.Desktop{Map: chunk.Map{}, T: t}
	small, large := vfstest.Body(20_000, 2), vfstest.Body(1<<20, 3)
	root := d.Root(d.Dir("etc", d.File("large", large), d.File("small", small), d.File("tiny", []byte("x"))))
	dir := t.TempDir()
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := vfs.Open(t.Context(), vfs.Options{Backing: filepath.Join(dir, "b"), Side: filepath.Join(dir, "s"), Demand: d, Bulk: d, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	var bars fuse.Bars
	if err := bars.Bar(bar); err != nil {
		t.Fatal(err)
	}
	m, err := fuse.New(f, mnt, fuse.Options{Bars: &bars})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(m.Unmount(), f.Close()); err != nil {
			t.Error(err, m.Detach())
		}
	}()
	scan := func(name string) (string, error) {
		var said bytes.Buffer
		cmd := exec.Command(scanner, filepath.Join(mnt, name))
		cmd.Stderr = &said
		_, err := cmd.Output()
		return said.String(), err
	}
	if _, err := os.ReadDir(filepath.Join(mnt, "etc")); err != nil {
		t.Error("listing:", err)
	}
	for _, name := range []string{"etc/small", "etc/large"} {
		if said, err := scan(name); err == nil || !strings.Contains(said, "Operation not permitted") {
			t.Errorf("%s: %v, %q", name, err, said)
		}
	}
	if said, err := scan("etc/tiny"); err != nil {
		t.Errorf("what is here: %v, %q", err, said)
	}
	if f.Stats().NativeFiles > 0 || f.Stats().BulkBytes > 1<<20 {
		t.Errorf("something was fetched for it: %+v", f.Stats())
	}
	if !others {
		return
	}
	for name, want := range map[string][]byte{"etc/small": small, "etc/large": large} {
		got, err := os.ReadFile(filepath.Join(mnt, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, by somebody else: %v, %d bytes", name, err, len(got))
		}
		if said, err := scan(name); err != nil {
			t.Errorf("%s, which is here now: %v, %q", name, err, said)
		}
	}
}

// What is no program is refused.
func TestBarOfNothing(t *testing.T) {
	for _, program := range []string{"", "a/b", "cgroup:", "cgroup:relative"} {
		var b fuse.Bars
		if b.Bar(program) == nil {
			t.Errorf("%q is taken for a program", program)
		}
	}
}
