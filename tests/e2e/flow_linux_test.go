package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFlowsBack: a desktop of which hardly anything is here yet is changed, and
// its snapshot has the changes and all that was not fetched (invariant 1).
func TestFlowsBack(t *testing.T) {
	r := serving(t)
	desktop, model := r.path("root"), r.path("model")
	fill(t, desktop, 300, 3)
	office := r.endpoint("office", "")
	taken := r.snapshot(office, "office", desktop)
	r.stream(office, "office", model) // what the desktop is to be in the end
	point, backing := r.path("desk"), r.path("backing")
	r.stopped(office.Mount(r.ctx, "office", point, "--backing", backing))
	for _, top := range []string{model, point} {
		appendTo(t, filepath.Join(top, "large-1"), "at the end")
		must(t, os.Truncate(filepath.Join(top, "large-2"), 3000))
		must(t, os.WriteFile(filepath.Join(top, "new"), []byte("new"), 0o640))
		must(t, os.Rename(filepath.Join(top, "small-01"), filepath.Join(top, "renamed")))
		must(t, os.Remove(filepath.Join(top, "small-00/1")))
		must(t, os.Chmod(filepath.Join(top, "small-00/2"), 0o600))
		for _, name := range []string{"large-1", "large-2", "new", "small-00", ""} {
			must(t, os.Chtimes(filepath.Join(top, name), time.Time{}, time.Unix(1_700_000_000, 5)))
		}
	}
	next, err := office.Snapshot(r.ctx, "office", point)
	must(t, err)
	if next.Unreadable > 0 || next.BytesRead*4 > taken.BytesRead {
		t.Errorf("the snapshot read %d bytes where the first read %d, and could not read %d files", next.BytesRead, taken.BytesRead, next.Unreadable)
	}
	s, err := office.Status(r.ctx, backing)
	must(t, err)
	if fetched := s.DemandBytes + s.PrefetchBytes; fetched*3 > taken.Bytes {
		t.Errorf("%d of %d bytes were fetched", fetched, taken.Bytes)
	}
	target := r.path("again")
	r.stream(office, "office", target)
	r.same(model, target)
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, err)
	must(t, f.Close())
}
