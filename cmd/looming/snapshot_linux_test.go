package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/remote/remotetest"
	"golang.org/x/sys/unix"
)

// What mounts keep of other desktops is no part of this one, wherever it lies; it is again when it is a mount's no more.
func TestSnapshotLeavesBackingOut(t *testing.T) {
	s := remotetest.New(t)
	state, dir, to := enroll(t, s, "laptop"), t.TempDir(), t.TempDir()
	work := filepath.Join(dir, "home", "kept")
	mustDo(t, os.MkdirAll(filepath.Join(work, "backing", "unlisted"), 0o755))
	m := backing.Mark{Tree: chunk.Sum(nil)}
	mustDo(t, unix.Setxattr(filepath.Join(work, "backing", "unlisted"), "trusted.looming", m.Encode(), 0))
	for _, f := range []string{filepath.Join(work, wantedFile), filepath.Join(work, "backing", "f"), filepath.Join(dir, "home", "own")} {
		mustDo(t, os.WriteFile(f, []byte("{}"), 0o644))
	}
	shown := (&app{dir: state}).shown()
	mustDo(t, shown.add(work))
	mustDo(t, shown.add(filepath.Join(dir, "gone")))
	for range 2 {
		var doc snapshotTaken
		ok(t, &doc, state, "snapshot", "--root", dir)
		if doc.Files != 1 || doc.Dirs != 1 || doc.Unreadable != 0 {
			t.Errorf("with a mount: %+v", doc)
		}
	}
	var done restored
	ok(t, &done, state, "restore", "home", "--to", to)
	if names, err := filepath.Glob(filepath.Join(to, "home", "*")); err != nil || len(names) != 1 || filepath.Base(names[0]) != "own" {
		t.Errorf("restored %q, %v", names, err)
	}
	mustDo(t, os.RemoveAll(filepath.Join(work, "backing", "unlisted")))
	shown.remove(work)
	var doc snapshotTaken
	ok(t, &doc, state, "snapshot", "--root", dir)
	if doc.Files != 3 || doc.Dirs != 3 {
		t.Errorf("without: %+v", doc)
	}
}
