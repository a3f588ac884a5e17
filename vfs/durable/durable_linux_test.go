package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/vfs/durable"
)

func TestExchange(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, a, "file")
	if err := os.MkdirAll(filepath.Join(b, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := durable.RenameExchange(a, b); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(a, "below")); err != nil || read(t, b) != "file" {
		t.Errorf("the names were not swapped: %v", err)
	}
	// A file system refuses to move a directory below itself with the same EINVAL as an unknown flag: either way it
	// cannot, and nothing has changed.
	if err := durable.RenameExchange(a, filepath.Join(a, "below")); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("exchange with a directory below: %v", err)
	}
	if err := durable.RenameExchange(a, filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("exchange with nothing: %v", err)
	}
}

func TestRenameReplacesEmptyDirectoryOnly(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, d := range []string{from, filepath.Join(to, "kept")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.Rename(from, to); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("rename over a directory with content: %v", err)
	}
	if err := os.Remove(filepath.Join(to, "kept")); err != nil {
		t.Fatal(err)
	}
	if err := durable.Rename(from, to); err != nil {
		t.Error(err)
	}
}

func TestRenameAtAndFds(t *testing.T) {
	dir := t.TempDir()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	fd := int(d.Fd())
	write(t, filepath.Join(dir, "a"), "a")
	write(t, filepath.Join(dir, "b"), "b")
	if err := durable.RenameAt(fd, "a", fd, "b", unix.RENAME_NOREPLACE); !errors.Is(err, os.ErrExist) {
		t.Errorf("NOREPLACE: %v", err)
	}
	if err := durable.RenameAt(fd, "a", fd, "b", unix.RENAME_EXCHANGE); err != nil || read(t, filepath.Join(dir, "a")) != "b" {
		t.Errorf("EXCHANGE: %v", err)
	}
	if err := durable.RenameAt(fd, "a", fd, "b", 0); err != nil || read(t, filepath.Join(dir, "b")) != "b" {
		t.Errorf("plain: %v", err)
	}
	if err := errors.Join(durable.SyncFd(fd, dir), durable.SyncDataFd(fd, dir)); err != nil {
		t.Error(err)
	}
	if err := durable.SyncFd(-1, "gone"); !errors.Is(err, durable.ErrSync) || !errors.Is(err, unix.EBADF) {
		t.Errorf("sync of nothing: %v", err)
	}
}

// A really full disk: the old content stays, the error says what and where, and after space is made it works.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "f")
	if err := durable.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a file larger than the disk: %v", err)
	}
	if got := names(t, dir); read(t, path) != "old" || len(got) != 1 {
		t.Errorf("left %q", got)
	}
	if err := durable.WriteFile(path, make([]byte, 16<<10), 0o644); err != nil {
		t.Errorf("after space was made: %v", err)
	}
}
