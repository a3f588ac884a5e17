package scan

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/remote/remotetest"
	"golang.org/x/sys/unix"
)

// soon is a clock for which everything changed lately, but not just now.
func soon() time.Time { return time.Now().Add(time.Minute) }

// ownDisk is an empty ext4 that nobody else writes to.
func ownDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	image := filepath.Join(t.TempDir(), "disk")
	for _, args := range [][]string{{"truncate", "-s", "40M", image}, {"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// What is stored through a mapping into a page that was dirty when a snapshot was taken is in the next one (invariant 1).
func TestStoredThroughAMapping(t *testing.T) {
	for _, size := range []int{8192, 3 << 20} { // read in one go, and in pieces
		dir, cache, s := ownDisk(t), t.TempDir(), remotetest.New(t)
		path := filepath.Join(dir, "db")
		must(t, os.WriteFile(path, make([]byte, size), 0o644))
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(t, err)
		defer func() { must(t, unix.Munmap(m)) }()
		m[0], m[size-1] = 'A', 'A'
		time.Sleep(50 * time.Millisecond) // a step of the disk's clock
		for i := byte(0); i < 3; i++ {
			taken(t, s, Options{Root: dir, Cache: cache, Now: soon, Exclude: []string{"lost+found"}})
			time.Sleep(50 * time.Millisecond)
			m[1+i], m[size-2] = 'B', 'B'+i
		}
		taken(t, s, Options{Root: dir, Cache: cache, Now: soon, Exclude: []string{"lost+found"}})
		got, want := inSnapshot(t, s.Source(), s.Latest("desk").Root), onDisk(t, dir)
		if got["/db"] != want["/db"] {
			t.Errorf("%d bytes: the snapshot has\n%s, the disk\n%s", size, got["/db"], want["/db"])
		}
	}
}

// A file of which it is not known that later changes will show is read again by the next snapshot.
func TestUnsettledIsReadAgain(t *testing.T) {
	dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
	must(t, os.WriteFile(filepath.Join(dir, "f"), random(1, 5000), 0o644))
	must(t, os.Link(filepath.Join(dir, "f"), filepath.Join(dir, "g")))
	var count Counters
	o := Options{Root: dir, Cache: cache, Now: soon, Count: &count}
	restore := durable.SetFault(func(op durable.Op) error {
		if op.Name == durable.OpStart {
			return syscall.EIO
		}
		return nil
	})
	taken(t, s, o)
	restore()
	exact(t, s, dir)
	for i, want := range []int64{5000, 0} {
		count.BytesRead.Store(0)
		taken(t, s, o)
		exact(t, s, dir)
		if n := count.BytesRead.Load(); n != want {
			t.Errorf("snapshot %d after that read %d bytes, not %d", i+1, n, want)
		}
	}
}
