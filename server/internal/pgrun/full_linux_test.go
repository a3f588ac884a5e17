package pgrun_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/server/internal/pgrun"
	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
)

// smallDisk is a real file system of so many bytes.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := pgtest.Dir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=711,size="+size); err != nil {
		t.Fatalf("mount a small file system (run the tests as root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A disk too small for a cluster is named as that, and nothing of a half-made one stays.
func TestDiskTooSmall(t *testing.T) {
	dir := filepath.Join(smallDisk(t, "30m"), "postgres")
	if _, err := tryRun(t, pgrun.Options{Dir: dir}); !errors.Is(err, pgrun.ErrFull) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("on 30 MB: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cluster.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it left a half-made cluster: %v", err)
	}
}

// Invariants 2 and 9: Postgres that dies on a full disk loses nothing, and comes back by itself once there is room.
func TestDiskFillsUp(t *testing.T) {
	base := smallDisk(t, "160m")
	dir := filepath.Join(base, "postgres")
	r := run(t, dir)
	db := open(t, r.dsn)
	must(t, db, `create table kept as select 42 as v`)
	fill := filepath.Join(base, "fill")
	f, err := os.Create(fill)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(block)
	}
	f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := syscall.Kill(postmaster(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { // it is being noticed
		if db.Ping() == nil {
			return errors.New("still up")
		}
		return nil
	})
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		var v int
		return db.QueryRow(`select v from kept`).Scan(&v)
	})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
}
