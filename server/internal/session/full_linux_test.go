package session

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/looming-project/looming/vfs/wire"
)

// Invariant 9: a full volume is said by its name, loses nothing acknowledged, and goes on after space is made.
func TestFullVolume(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	w := newWorld(t, Options{})
	dir := t.TempDir()
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"))
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	w.exec(t, `delete from volumes`)
	small := openWorld(t, w.dsn, dir, Options{})
	d := makeDesktop(t, 1, 60)
	session := small.begin(t, 1, "desk")
	var acked int
	var full error
	for full == nil {
		b := d.body(d.order[acked : acked+50])
		// A length that is not known: the disk fills up in the middle.
		if _, full = small.Upload(t.Context(), 1, session, bytes.NewReader(b), -1); full == nil {
			acked += 50
		}
	}
	_, known := small.Upload(t.Context(), 1, session, bytes.NewReader(d.body(d.order[acked:])), 50<<20)
	for what, err := range map[string]error{"in the middle": full, "at the start": known} {
		if !errors.Is(err, wire.ErrFull) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want full with the name of the volume", what, err)
		}
	}
	if v := small.known(t, dir); !v.Full || v.Problem == "" {
		t.Errorf("an admin is told %+v", v)
	}
	if got := small.fetch(t, 1, d, d.order[:acked]); count(got, wire.FrameOK) != acked {
		t.Errorf("%d of %d acknowledged chunks are there", count(got, wire.FrameOK), acked)
	}
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=200m"))
	small.upload(t, 1, session, d)
	small.commit(t, 1, session, d)
	small.nothingLeft(t)
	must(t, small.Close())
}
