package session

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
	"github.com/looming-project/looming/vfs/wire"
)

// known finds a volume by its directory.
func (w *world) known(t *testing.T, url string) VolumeState {
	t.Helper()
	all, err := w.Volumes(t.Context())
	must(t, err)
	for _, v := range all {
		if v.URL == url {
			return v
		}
	}
	t.Fatalf("%s is not among %+v", url, all)
	return VolumeState{}
}

// A volume that is drained takes no pack, on whatever server, and is read on; one that holds packs is not forgotten, one
// that holds none is, by all servers.
func TestVolumeDrained(t *testing.T) {
	w := newWorld(t, Options{})
	other := openWorld(t, w.dsn, w.volume, Options{})
	d := makeDesktop(t, 1, 2)
	session := w.begin(t, 1, "desk")
	w.upload(t, 1, session, d)
	first := w.known(t, w.volume)
	if _, err := w.RemoveVolume(t.Context(), first.UUID); !errors.Is(err, wire.ErrConflict) {
		t.Errorf("a volume with packs was removed: %v", err)
	}
	second := t.TempDir()
	must(t, w.AddVolume(t.Context(), second))
	_, err := w.DrainVolume(t.Context(), first.UUID)
	must(t, err)
	e := makeDesktop(t, 2, 2)
	other.upload(t, 1, session, e) // it knows of neither
	if v := w.known(t, w.volume); v.Packs != first.Packs || !v.Drained {
		t.Errorf("a drained volume: %+v, had %d packs", v, first.Packs)
	}
	if v := w.known(t, second); v.Packs == 0 {
		t.Errorf("the new volume: %+v", v)
	}
	w.commit(t, 1, session, d)
	if got := other.fetch(t, 1, d, d.order); count(got, wire.FrameOK) != len(d.order) {
		t.Error("what lies on a drained volume is not read")
	}
	must(t, w.AddVolume(t.Context(), w.volume))
	if v := w.known(t, w.volume); v.Drained {
		t.Errorf("added again: %+v", v)
	}
}

// Only a directory that is there, and empty, becomes a volume by an admin's word; nothing is made for a typing mistake.
func TestVolumeAdded(t *testing.T) {
	w := newWorld(t, Options{})
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, []byte("x"), 0o600))
	for url, want := range map[string]error{
		"s3://bucket": wire.ErrInvalid, "relative": wire.ErrInvalid, file: wire.ErrInvalid, dir: wire.ErrConflict,
		filepath.Join(dir, "typo"): wire.ErrNotFound,
	} {
		if err := w.AddVolume(t.Context(), url); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", url, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "typo")); err == nil {
		t.Error("it made a directory")
	}
	empty := t.TempDir()
	must(t, w.AddVolume(t.Context(), empty))
	id := w.known(t, empty).UUID
	_, err := w.RemoveVolume(t.Context(), id)
	must(t, err)
	if _, err := w.RemoveVolume(t.Context(), id); !errors.Is(err, wire.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// The first volume is there only as long as the database knows none: one that an admin removed for another stays away.
func TestFirstVolume(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	dsn := pgtest.Database(t)
	w := openWorld(t, dsn, "", Options{FirstVolume: first})
	v := w.known(t, first)
	must(t, w.AddVolume(t.Context(), second))
	_, err := w.RemoveVolume(t.Context(), v.UUID)
	must(t, err)
	all, err := openWorld(t, dsn, "", Options{FirstVolume: first}).Volumes(t.Context())
	must(t, err)
	if len(all) != 1 || all[0].URL != second {
		t.Errorf("after a start there are %+v", all)
	}
}
