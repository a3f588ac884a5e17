//go:build unix

package session

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/looming-project/looming/server/internal/sis"
	"github.com/looming-project/looming/vfs/wire"
)

// Invariant 10: a volume that does not answer at all stops nothing that needs another, and is back when it answers.
func TestHungVolume(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 3)
	w.centralize(t, 1, "desk", d)
	dir := t.TempDir()
	made, err := sis.MakeDir(dir)
	must(t, err)
	id := made.ID()
	file := filepath.Join(dir, "looming-volume.json")
	text, err := os.ReadFile(file)
	must(t, err)
	must(t, os.Remove(file))
	must(t, syscall.Mkfifo(file, 0o600)) // reading it hangs, as on a file server that is away
	w.exec(t, `insert into volumes (uuid, url) values ($1, $2)`, id[:], dir)
	for range 3 {
		states, err := w.Volumes(t.Context())
		must(t, err)
		if len(states) != 2 || states[0].Problem+states[1].Problem == "" || !strings.Contains(states[0].Problem+states[1].Problem, dir) {
			t.Fatalf("volumes are %+v", states)
		}
		if got := w.fetch(t, 1, d, d.order); count(got, wire.FrameOK) != len(d.order) {
			t.Errorf("%d of %d chunks came from the volume that is well", count(got, wire.FrameOK), len(d.order))
		}
	}
	w.centralize(t, 1, "desk", makeDesktop(t, 2, 2))
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	must(t, err)
	must(t, os.Remove(file))
	must(t, os.WriteFile(file, text, 0o600))
	must(t, f.Close())
	for {
		states, err := w.Volumes(t.Context())
		must(t, err)
		if states[0].Problem+states[1].Problem == "" {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("it answers and is still away: %+v", states)
		}
	}
}
