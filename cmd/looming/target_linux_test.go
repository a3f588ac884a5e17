package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/vfs/remote/remotetest"
)

// desk is a device with a desktop of two files, which has a snapshot.
func desk(t *testing.T, s *remotetest.Server) (state, dir string) {
	t.Helper()
	state, dir = enroll(t, s, "laptop"), t.TempDir()
	mustDo(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	mustDo(t, os.WriteFile(filepath.Join(dir, "sub", "f"), []byte(strings.Repeat("text", 5000)), 0o644))
	mustDo(t, os.WriteFile(filepath.Join(dir, "g"), []byte("g"), 0o644))
	var doc snapshotTaken
	ok(t, &doc, state, "snapshot", "--root", dir, "--cvd", "desk")
	return state, dir
}

// A mount keeps what it fetches in a directory of its own, and is shown where nothing else is.
func TestMountPlaces(t *testing.T) {
	s := remotetest.New(t)
	state, _ := desk(t, s)
	foreign, point := t.TempDir(), filepath.Join(t.TempDir(), "point")
	mustDo(t, os.WriteFile(filepath.Join(foreign, "own"), nil, 0o644))
	mount := []string{"mount", "--cvd", "desk", "--backing"}
	fails(t, exit.Conflict, "not empty", state, append(mount, foreign, point)...)
	fails(t, exit.UsageCode, "lies in", state, append(mount, point, point)...)
	fails(t, exit.UsageCode, "below", state, append(mount, filepath.Join(point, "b"), point)...)
	fails(t, exit.UsageCode, "--deadline", state, append(mount, foreign, point, "--deadline", "-1s")...)
	fails(t, exit.UsageCode, "--deadline", state, "stream", point, "--deadline", "-1s")
	begin(t, state, point, func() {
		fails(t, exit.Conflict, "mounted", state, append(mount, filepath.Join(t.TempDir(), "b"), point)...)
		fails(t, exit.Conflict, "mounted", state, "stream", point)
	})
	if names, err := os.ReadDir(foreign); err != nil || len(names) != 1 {
		t.Errorf("something was left: %v, %v", names, err)
	}
}

// fails fails the test unless the command ends with the code and says the word.
func fails(t *testing.T, code int, word, state string, args ...string) {
	t.Helper()
	got, out, errs := looming(t, state, args...)
	if got != code || !strings.Contains(errs, word) {
		t.Errorf("looming %q: code %d, want %d and %q: %s%s", args, got, code, word, out, errs)
	}
}

// A target that holds something is refused before anything is fetched or left beside it; so is one that became native,
// of which status and pivot still know.
func TestTarget(t *testing.T) {
	s := remotetest.New(t)
	state, dir := desk(t, s)
	at := t.TempDir()
	full, target := filepath.Join(at, "full"), filepath.Join(at, "desk")
	mustDo(t, os.MkdirAll(filepath.Join(full, "sub"), 0o755))
	fails(t, exit.Conflict, "holds files", state, "stream", full)
	fails(t, exit.UsageCode, "empty", state, "stream", "")
	fails(t, exit.NotFound, "nothing is streamed", state, "pivot", target)
	fails(t, exit.NotFound, "nothing is streamed", state, "pivot", full)
	fails(t, exit.NotFound, "nothing is streamed", state, "status", target)

	var st status
	ok(t, &st, state, "stream", "--cvd", "desk", target)
	same(t, dir, target)
	fails(t, exit.Conflict, "holds files", state, "stream", target)
	var all []status
	ok(t, &all, state, "status", target)
	if len(all) != 1 || all[0].Phase != phaseNative || all[0].BytesDone == 0 || st.Phase != phaseNative {
		t.Errorf("status %+v, ended with %+v", all, st)
	}
	ok(t, &st, state, "pivot", target)
	ok(t, &all, state, "status")
	if len(all) != 0 {
		t.Errorf("still under way: %+v", all)
	}
	mustDo(t, os.RemoveAll(target))
	fails(t, exit.NotFound, "nothing is streamed", state, "pivot", target)
	names, err := filepath.Glob(filepath.Join(at, ".*"))
	if err != nil || len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
}

// What is not known is not said: no time left that a waiting stream, or none at all, would need; no reason in brackets.
func TestWords(t *testing.T) {
	for _, c := range [][2]float64{{0.4, 0}, {90, 90}, {1e9, 0}} {
		if got := guess(c[0]); got != c[1] {
			t.Errorf("%v seconds left: %v", c[0], got)
		}
	}
	if err := (stopped{}); exit.Code(err) != exit.Interrupted || strings.Contains(err.Error(), "context") {
		t.Errorf("%v: code %d", err, exit.Code(err))
	}
	s := remotetest.New(t)
	state := enroll(t, s, "laptop")
	fails(t, exit.NotFound, "no snapshot yet", state, "stream", "--cvd", "none", filepath.Join(t.TempDir(), "x"))
	if code, out, _ := looming(t, state, "stream", "--help"); code != 0 || !strings.Contains(out, "--no-pivot ") || strings.Contains(out, "--no-pivot looming") {
		t.Errorf("help: %s", out)
	}
	if code, out, _ := looming(t, state, "--version"); code != 0 || !strings.Contains(out, "looming version") {
		t.Errorf("version: %d, %s", code, out)
	}
}
