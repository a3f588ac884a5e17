package scan

import (
	"context"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/remote/remotetest"
	"github.com/looming-project/looming/vfs/wire"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// later is a clock an hour ahead, for which nothing changed lately.
func later() time.Time { return time.Now().Add(time.Hour) }

// taken takes a snapshot in which everything must be readable.
func taken(t *testing.T, s *remotetest.Server, o Options) Result {
	t.Helper()
	if o.Unreadable == nil {
		o.Unreadable = func(path string, err error) { t.Errorf("%q is unreadable: %v", short(path), err) }
	}
	if o.Notice == nil {
		o.Notice = func(text string) { t.Errorf("notice: %s", text) }
	}
	if o.Now == nil {
		o.Now = later
	}
	if o.CVD == "" {
		o.CVD = "desk"
	}
	res, err := Snapshot(context.Background(), s.Client("laptop"), o, wire.CommitRequest{})
	must(t, err)
	return res
}

// A committed snapshot holds everything that the file system holds (invariant 1).
func TestEverythingIsInTheSnapshot(t *testing.T) {
	dir, s := t.TempDir(), remotetest.New(t)
	oddities(t, dir)
	res := taken(t, s, Options{Root: dir, Cache: t.TempDir()})
	want := onDisk(t, dir)
	if len(want) < 350 {
		t.Fatalf("only %d entries", len(want))
	}
	if d := want.diff(inSnapshot(t, s.Source(), res.Snapshot.Root)); d != "" {
		t.Errorf("differences:\n%s", d)
	}
	if n := res.Sums.Files + res.Sums.Dirs + 1; n != uint64(len(want)) {
		t.Errorf("the sums say %d entries, there are %d", n, len(want))
	}
}

// The second snapshot of an unchanged desktop reads no file contents and sends nothing.
func TestUnchangedIsNotRead(t *testing.T) {
	dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
	oddities(t, dir)
	first := taken(t, s, Options{Root: dir, Cache: cache})
	uploaded, asked := s.Uploaded.Load(), s.Asked.Load()
	for range 2 {
		var count Counters
		second := taken(t, s, Options{Root: dir, Cache: cache, Count: &count})
		if second.Root != first.Root || second.Snapshot.ID == first.Snapshot.ID {
			t.Errorf("another root: %s, first %s", second.Root, first.Root)
		}
		if n := count.BytesRead.Load(); n != 0 {
			t.Errorf("%d bytes were read", n)
		}
		if count.Entries.Load() == 0 || s.Uploaded.Load() != uploaded {
			t.Errorf("%d chunks were uploaded", s.Uploaded.Load()-uploaded)
		}
		if n := s.Asked.Load() - asked; n > 2 {
			t.Errorf("the server was asked about %d chunks", n)
		}
	}
}
