package local

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"golang.org/x/sys/unix"
)

// Whatever takes the place of a file is no answer: nothing outside of the tree is read, and nothing is waited for.
func TestWhatTookTheFilesPlace(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "same")
	plain := bytes.Repeat([]byte("the bytes "), 1000)
	must(t, os.WriteFile(outside, plain, 0o644))
	for name, replace := range map[string]func(path string) error{
		"gone":               func(string) error { return nil },
		"a directory":        func(p string) error { return os.Mkdir(p, 0o755) },
		"a symlink outside":  func(p string) error { return os.Symlink(outside, p) },
		"a symlink inside":   func(p string) error { return os.Symlink("../other", p) },
		"a fifo":             func(p string) error { return unix.Mkfifo(p, 0o644) },
		"a device":           func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))) },
		"a socket":           func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o644, 0) },
		"shorter":            func(p string) error { return os.WriteFile(p, plain[:100], 0o644) },
		"empty":              func(p string) error { return os.WriteFile(p, nil, 0o644) },
		"its way a symlink":  func(p string) error { return relink(filepath.Dir(p), filepath.Dir(outside)) },
		"of other bytes":     func(p string) error { return os.WriteFile(p, bytes.ToUpper(plain), 0o644) },
		"its way a file now": func(p string) error { return refile(filepath.Dir(p)) },
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			d := newDisk(t)
			must(t, os.WriteFile(d.path("other"), plain, 0o644))
			must(t, d.x.Build(t.Context(), func(_ context.Context, b *Builder) error {
				d.write(t, b, "dir/same", plain)
				return nil
			}))
			must(t, os.Remove(d.path("dir/same")))
			must(t, replace(d.path("dir/same")))
			if got, err := chunk.Get(t.Context(), NewSource(d.x), chunk.Sum(plain)); !errors.Is(err, chunk.ErrDamaged) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

func relink(dir, to string) error {
	return errors.Join(os.Remove(dir), os.Symlink(to, dir))
}

func refile(dir string) error {
	return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o644))
}

// A mount is not entered: it may be served by this process.
func TestMountIsNotEntered(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts: run it as root")
	}
	d, plain := newDisk(t), bytes.Repeat([]byte("the bytes "), 1000)
	must(t, d.x.Build(t.Context(), func(_ context.Context, b *Builder) error {
		d.write(t, b, "dir/same", plain)
		return nil
	}))
	must(t, unix.Mount("tmpfs", d.path("dir"), "tmpfs", 0, ""))
	defer func() { must(t, unix.Unmount(d.path("dir"), 0)) }()
	must(t, os.WriteFile(d.path("dir/same"), plain, 0o644))
	if _, err := chunk.Get(t.Context(), NewSource(d.x), chunk.Sum(plain)); !errors.Is(err, chunk.ErrDamaged) {
		t.Errorf("from the mount: %v", err)
	}
}
