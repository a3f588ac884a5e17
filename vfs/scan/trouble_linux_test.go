package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/remote/remotetest"
	"github.com/looming-project/looming/vfs/wire"
)

// incompressible makes n files of 300 kB each.
func incompressible(t testing.TB, dir string, n int) {
	for i := range n {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%03d", i)), random(uint64(1000+i), 300_000), 0o644))
	}
}

// exact fails unless the desktop's latest snapshot is what the disk holds.
func exact(t *testing.T, s *remotetest.Server, dir string) {
	t.Helper()
	if d := onDisk(t, dir).diff(inSnapshot(t, s.Source(), s.Latest("desk").Root)); d != "" {
		t.Errorf("disk and snapshot differ:\n%s", d)
	}
}

// A large file that changes between its two readings is read again; one that never holds still is reported, not torn.
func TestChangedBetweenReadings(t *testing.T) {
	for i := range 4 { // later, it is read but once
		calm, clock := i&1 == 0, []func() time.Time{time.Now, later}[i>>1]
		dir, s := t.TempDir(), remotetest.New(t)
		path := filepath.Join(dir, "big")
		must(t, os.WriteFile(path, random(1, 3<<20), 0o644))
		var n int
		var got error
		_, err := Snapshot(context.Background(), s.Client("laptop"), Options{
			Root: dir, CVD: "desk", Now: clock,
			Cut: func(name string, head []byte) chunk.Cut { // between the first reading and the second
				if n++; n == 1 || !calm {
					f, err := os.OpenFile(path, os.O_RDWR, 0)
					must(t, err)
					_, err = f.WriteAt(random(uint64(n+1), 100), 2<<20)
					must(t, errors.Join(err, f.Close()))
				}
				return chunk.CutFor(name, head)
			},
			Unreadable: func(path string, err error) { got = errors.Join(got, fmt.Errorf("%s: %w", path, err)) },
		}, wire.CommitRequest{})
		must(t, err)
		if calm {
			if got != nil || n < 2 {
				t.Errorf("%d readings, %v", n, got)
			}
			exact(t, s, dir)
			continue
		}
		if !errors.Is(got, ErrChanging) || !strings.HasPrefix(fmt.Sprint(got), "big: ") {
			t.Errorf("reported: %v", got)
		}
		snap := s.Latest("desk")
		if snap.Unreadable != 1 || snap.Files != 0 {
			t.Errorf("the snapshot has %d files and %d unreadable", snap.Files, snap.Unreadable)
		}
	}
}

// Files that are written all the time are in the snapshot in one of their states, or reported.
func TestNeverTorn(t *testing.T) {
	dir, s := t.TempDir(), remotetest.New(t)
	sizes := []int{400, 60_000, 900_000, 5_000_000}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for _, size := range sizes {
		path := filepath.Join(dir, fmt.Sprint(size))
		must(t, os.WriteFile(path, bytes.Repeat([]byte{'a'}, size), 0o644))
		writers.Go(func() {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			for b := byte('a'); ; b = (b-'a'+1)%26 + 'a' {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := f.WriteAt(bytes.Repeat([]byte{b}, size), 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		var unreadable atomic.Int64
		_, err := Snapshot(context.Background(), s.Client("laptop"), Options{
			Root: dir, CVD: "desk", Unreadable: func(_ string, err error) {
				unreadable.Add(1)
				if !errors.Is(err, ErrChanging) {
					t.Error(err)
				}
			},
		}, wire.CommitRequest{})
		must(t, err)
		found := 0
		top, err := cvd.ReadRoot(context.Background(), s.Source(), s.Latest("desk").Root)
		must(t, err)
		must(t, cvd.ReadDir(context.Background(), s.Source(), top.Tree, func(e *cvd.Entry) error {
			found++
			b := contentOf(t, s.Source(), e)
			if len(b) == 0 || bytes.Count(b, b[:1]) != len(b) {
				t.Errorf("%s is torn", e.Name)
			}
			return nil
		}))
		if found+int(unreadable.Load()) != len(sizes) {
			t.Errorf("%d found, %d unreadable, of %d", found, unreadable.Load(), len(sizes))
		}
	}
	close(stop)
	writers.Wait()
}

// What a user may not read is named, and everything else is taken.
func TestUnreadable(t *testing.T) {
	dir, s := t.TempDir(), remotetest.New(t)
	for _, d := range []string{dir, filepath.Dir(dir)} {
		must(t, os.Chmod(d, 0o755))
	}
	must(t, os.WriteFile(filepath.Join(dir, "open"), []byte("x"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600))
	must(t, os.MkdirAll(filepath.Join(dir, "locked", "below"), 0o700))
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	a, err := child(t, s, dir, "", nobody, nil)
	must(t, err)
	if a.Err != "" || len(a.Unreadable) != 2 || a.Denied != 2 || a.Unreadable["secret"] == "" || a.Unreadable["locked"] == "" {
		t.Errorf("%+v", a)
	}
	snap := s.Latest("desk")
	if snap.Files != 1 || snap.Dirs != 0 || snap.Unreadable != 2 {
		t.Errorf("%+v", snap)
	}
}

// Interrupted after each of the first uploads, the next snapshot goes on: nothing acknowledged is sent again, and what
// was hashed is not read again.
func TestInterrupted(t *testing.T) {
	dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
	incompressible(t, dir, 120) // 36 MB: packs of 4, 8, 16 MiB
	ctx, cancel := context.WithCancel(context.Background())
	var uploads atomic.Int64
	s.Fault = func(_ string, r *http.Request) error {
		if strings.HasSuffix(r.URL.Path, "/chunks") && uploads.Add(1) == 3 {
			cancel()
			return wire.ErrUnavailable
		}
		return nil
	}
	_, err := Snapshot(ctx, s.Client("laptop"), Options{Root: dir, CVD: "desk", Cache: cache, Now: later}, wire.CommitRequest{})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	before, _ := s.Chunks()
	if before == 0 {
		t.Fatal("nothing arrived before the interrupt")
	}
	s.Fault = nil
	var count Counters
	taken(t, s, Options{Root: dir, Cache: cache, Count: &count})
	exact(t, s, dir)
	if n, _ := s.Chunks(); int64(n) != s.Uploaded.Load() {
		t.Errorf("%d chunks, %d uploads", n, s.Uploaded.Load())
	}
	if n := count.BytesRead.Load(); n >= 36_000_000-int64(before)*300_000/2 {
		t.Errorf("%d bytes were read although %d chunks had arrived", n, before)
	}
}

// Killed at any moment of an upload, the next snapshot is complete and repeats little.
func TestKilled(t *testing.T) {
	dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
	oddities(t, dir)
	incompressible(t, dir, 60)
	var pid atomic.Int64
	var requests, at atomic.Int64
	s.Fault = func(string, *http.Request) error {
		if requests.Add(1) == at.Load() {
			_ = syscall.Kill(int(pid.Load()), syscall.SIGKILL)
		}
		return nil
	}
	killed := 0
	for n := int64(2); n < 40; n += 5 {
		requests.Store(0)
		at.Store(n)
		a, err := child(t, s, dir, cache, nil, func(p int) { pid.Store(int64(p)) })
		if err == nil {
			if a.Err != "" {
				t.Errorf("killed at request %d of an earlier run: %s", n, a.Err)
			}
			break
		}
		killed++
	}
	if killed < 2 {
		t.Fatalf("killed %d times only", killed)
	}
	at.Store(-1) // a request of the last one killed may still be under way
	taken(t, s, Options{Root: dir, Cache: cache, Notice: func(string) {}})
	exact(t, s, dir)
	chunks, _ := s.Chunks()
	if again := s.Uploaded.Load() - int64(chunks); again != 0 {
		t.Errorf("%d chunks were uploaded twice", again)
	}
}

// A session that expires under way is begun anew; even if all that was uploaded is gone, the snapshot is complete.
func TestExpired(t *testing.T) {
	for _, forget := range []bool{false, true} {
		dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
		oddities(t, dir)
		incompressible(t, dir, 60)
		var uploads atomic.Int64
		s.Fault = func(_ string, r *http.Request) error {
			if strings.HasSuffix(r.URL.Path, "/chunks") && uploads.Add(1) == 2 {
				s.Expire(forget)
			}
			return nil
		}
		notices := 0
		taken(t, s, Options{Root: dir, Cache: cache, Notice: func(string) { notices++ }})
		exact(t, s, dir)
		if notices != 1 {
			t.Errorf("%d notices", notices)
		}
	}
}

// What the server lost of the last snapshot is read and uploaded again, although nothing changed here.
func TestIncomplete(t *testing.T) {
	dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
	oddities(t, dir)
	res := taken(t, s, Options{Root: dir, Cache: cache})
	b, err := os.ReadFile(filepath.Join(dir, "b", "many250"))
	must(t, err)
	for _, lost := range []chunk.ID{chunk.Sum(b), chunk.ID(res.Root), chunk.Sum(random(3, 128<<10))} {
		s.Drop(lost)
		var count Counters
		taken(t, s, Options{Root: dir, Cache: cache, Count: &count, Notice: func(string) {}})
		exact(t, s, dir)
		if n := count.BytesRead.Load(); n > 200_000 {
			t.Errorf("%d bytes were read for the sake of one chunk", n)
		}
	}
}

// What another device brought is proven, not uploaded.
func TestProven(t *testing.T) {
	dir, s := t.TempDir(), remotetest.New(t)
	oddities(t, dir)
	taken(t, s, Options{Root: dir})
	uploaded := s.Uploaded.Load()
	_, err := Snapshot(context.Background(), s.Client("other"), Options{Root: dir, CVD: "other's", Now: later}, wire.CommitRequest{})
	must(t, err)
	if n := s.Uploaded.Load() - uploaded; n != 0 {
		t.Errorf("%d chunks were uploaded by the second device", n)
	}
	if s.Proved.Load() == 0 {
		t.Error("nothing was proven")
	}
	if a, b := s.Latest("desk").Root, s.Latest("other's").Root; a != b {
		t.Errorf("two machines with the same directory: %s and %s", a, b)
	}
}

// Only one process at a time takes snapshots of a directory.
func TestLocked(t *testing.T) {
	dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
	held, err := openCache(cache, "desk", dir)
	must(t, err)
	_, err = Snapshot(context.Background(), s.Client("laptop"), Options{Root: dir, CVD: "desk", Cache: cache}, wire.CommitRequest{})
	if !errors.Is(err, wire.ErrConflict) {
		t.Errorf("while another has it: %v", err)
	}
	held.close()
	taken(t, s, Options{Root: dir, Cache: cache})
}
