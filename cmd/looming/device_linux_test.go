package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/remote/remotetest"
	"github.com/looming-project/looming/vfs/wire"
)

// looming runs a command with a state directory and returns its exit code and what it printed.
func looming(t *testing.T, state string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = exit.Run(t.Context(), newRoot(alone), append([]string{"--state", state}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// ok is looming for what must succeed with --output json.
func ok(t *testing.T, doc any, state string, args ...string) {
	t.Helper()
	code, out, errs := looming(t, state, append(args, "--output", "json")...)
	if code != 0 {
		t.Fatalf("looming %s: code %d, %s", strings.Join(args, " "), code, errs)
	}
	if err := json.Unmarshal([]byte(out), doc); err != nil {
		t.Fatalf("looming %s printed %q: %v", strings.Join(args, " "), out, err)
	}
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func enroll(t *testing.T, s *remotetest.Server, name string) (state string) {
	t.Helper()
	state = filepath.Join(t.TempDir(), "state")
	fingerprint, err := remote.Fingerprint(s.CA)
	mustDo(t, err)
	s.Token("token-" + name)
	var doc enrolled
	ok(t, &doc, state, "enroll", s.URL, "--name", name, "--token", "token-"+name, "--ca-fingerprint", fingerprint)
	if doc.Device != name || doc.Server != s.URL || doc.CA != fingerprint || len(doc.Key) != 64 {
		t.Errorf("enrolled: %+v", doc)
	}
	return state
}

// A device trusts only the CA that it was told, keeps its key to itself, and is enrolled once.
func TestEnroll(t *testing.T) {
	s := remotetest.New(t)
	state := filepath.Join(t.TempDir(), "state")
	if code, _, errs := looming(t, state, "snapshot"); code != exit.Denied || !strings.Contains(errs, "looming enroll") {
		t.Errorf("not enrolled: %d, %s", code, errs)
	}
	if code, _, errs := looming(t, state, "enroll", s.URL, "--name", "x"); code != exit.UsageCode || !strings.Contains(errs, "--ca-fingerprint") {
		t.Errorf("unknown CA: %d, %s", code, errs)
	}
	wrong := strings.Repeat("0", 64)
	if code, _, _ := looming(t, state, "enroll", s.URL, "--name", "x", "--ca-fingerprint", wrong); code != exit.Denied {
		t.Errorf("another CA: %d", code)
	}
	state = enroll(t, s, "laptop")
	info, err := os.Stat(state)
	mustDo(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the state directory has mode %v", info.Mode())
	}
	for _, f := range []string{keyFile, certFile, caFile, deviceFile} {
		info, err := os.Stat(filepath.Join(state, f))
		mustDo(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f, info.Mode())
		}
	}
	if code, _, errs := looming(t, state, "enroll", s.URL); code != exit.Conflict || !strings.Contains(errs, "remove") {
		t.Errorf("twice: %d, %s", code, errs)
	}
	mustDo(t, os.WriteFile(filepath.Join(state, keyFile), []byte("x"), 0o600))
	if code, _, errs := looming(t, state, "snapshot"); code == 0 || !strings.Contains(errs, "enroll again") {
		t.Errorf("damaged: %d, %s", code, errs)
	}
}

// A certificate renews itself when a third of its life is left.
func TestRenewal(t *testing.T) {
	s := remotetest.New(t)
	s.Life = 25 * time.Second // certificates begin a minute ago
	state, dir := enroll(t, s, "laptop"), t.TempDir()
	before, err := os.ReadFile(filepath.Join(state, certFile))
	mustDo(t, err)
	s.Life = time.Hour
	var doc snapshotTaken
	mustDo(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o644))
	d, err := openDevice(state)
	mustDo(t, err)
	if !remote.NeedsRenewal(d.cert.Leaf, time.Now()) {
		t.Fatal("it is not time to renew")
	}
	ok(t, &doc, state, "snapshot", "--root", dir)
	after, err := os.ReadFile(filepath.Join(state, certFile))
	mustDo(t, err)
	if bytes.Equal(before, after) {
		t.Error("it was not renewed")
	}
	if d, err = openDevice(state); err != nil || remote.NeedsRenewal(d.cert.Leaf, time.Now()) {
		t.Errorf("the new one: %v", err)
	}
}

// What was snapshot comes back as it was, whole trees and single files; nothing that exists is overwritten (invariant 1).
func TestSnapshotAndRestore(t *testing.T) {
	s := remotetest.New(t)
	state, dir, to := enroll(t, s, "laptop"), t.TempDir(), t.TempDir()
	script := `set -e; cd "$1"
mkdir -p a/b empty; head -c 300000 /dev/urandom > a/big; head -c 3000000 /dev/urandom > a/huge; echo text > a/b/text; : > none
ln a/b/text link; ln -s a/b/text sym; mkfifo pipe; mknod null c 1 3; truncate -s 9M sparse; printf x | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none
chmod 6755 a/b/text; chmod 1777 empty; chown 12:34 a/b; setfacl -m u:1000:rw a/big; setcap cap_net_raw+ep a/b/text; setfattr -n user.x -v y sym 2>/dev/null || setfattr -n user.x -v y a
printf n > "$(printf 'caf\351')"; touch -d '1960-01-01 00:00:00.123456789 UTC' a/b none; touch -hd '2001-02-03 04:05:06' sym`
	out, err := exec.Command("bash", "-c", script, "x", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var first, second snapshotTaken
	ok(t, &first, state, "snapshot", "--root", dir, "--cvd", "desk")
	if first.Unreadable != 0 || first.Files != 10 || first.BytesRead == 0 || first.BytesSent == 0 || first.BytesOnWire == 0 || first.Snapshot.IsZero() {
		t.Errorf("first: %+v", first)
	}
	ok(t, &second, state, "snapshot", "--root", dir, "--cvd", "desk")
	if second.Root != first.Root || second.BytesSent != 0 {
		t.Errorf("second: %+v", second)
	}
	var done restored
	ok(t, &done, state, "restore", "/", "--cvd", "desk", "--to", filepath.Join(to, "all"))
	same(t, dir, filepath.Join(to, "all"))
	ok(t, &done, state, "restore", "a/b", "/a/huge", "sym", "--cvd", "desk", "--snapshot", first.Snapshot.String()[:6], "--to", filepath.Join(to, "part"))
	same(t, filepath.Join(dir, "a/b"), filepath.Join(to, "part/b"))
	if len(done.Restored) != 3 || done.Restored[1] != filepath.Join(to, "part/huge") || len(done.Failed) != 0 {
		t.Errorf("restored %+v", done)
	}
	if code, _, errs := looming(t, state, "restore", "sym", "--cvd", "desk", "--to", filepath.Join(to, "part")); code != exit.Conflict {
		t.Errorf("over a file that exists: %d, %s", code, errs)
	}
	if code, _, _ := looming(t, state, "restore", "nothing/here", "--cvd", "desk", "--to", to); code != exit.NotFound {
		t.Errorf("what is not there: %d", code)
	}
	rest, err := filepath.Glob(filepath.Join(to, "*", ".restoring-*"))
	if err != nil || len(rest) != 0 {
		t.Errorf("left behind: %q", rest)
	}
	phases := map[string]bool{}
	for _, p := range s.Progress() {
		phases[p.Kind+" "+p.Phase] = true
	}
	if !phases["snapshot done"] {
		t.Errorf("the console was told %v", phases)
	}
}

// same fails unless two trees are equal in everything that rsync knows.
func same(t *testing.T, a, b string) {
	t.Helper()
	out, err := exec.Command("rsync", "-aHAXxnc", "--delete", "--itemize-changes", a+"/", b+"/").CombinedOutput()
	if err != nil || len(out) != 0 {
		t.Errorf("%s and %s differ: %v\n%s", a, b, err, out)
	}
}

// A damaged chunk spoils its file only, is named, and gives the code of integrity (invariant 3).
func TestRestoreDamaged(t *testing.T) {
	s := remotetest.New(t)
	state, dir, to := enroll(t, s, "laptop"), t.TempDir(), t.TempDir()
	bad := bytes.Repeat([]byte("bad"), 5000)
	mustDo(t, os.WriteFile(filepath.Join(dir, "bad"), bad, 0o644))
	mustDo(t, os.WriteFile(filepath.Join(dir, "good"), bytes.Repeat([]byte("good"), 5000), 0o644))
	var doc snapshotTaken
	ok(t, &doc, state, "snapshot", "--root", dir)
	s.Corrupt(chunk.Sum(bad))
	code, out, errs := looming(t, state, "restore", "/", "--to", filepath.Join(to, "x"), "--output", "json")
	var done restored
	mustDo(t, json.Unmarshal([]byte(out), &done))
	if code != exit.Integrity || len(done.Failed) != 1 || done.Failed[0].Path != "/bad" || !strings.Contains(errs, "cannot restore /bad: ") {
		t.Errorf("code %d, %+v, %s", code, done, errs)
	}
	if _, err := os.Stat(filepath.Join(to, "x", "bad")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the damaged file: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(to, "x", "good")); err != nil || len(b) != 20000 {
		t.Errorf("the good file: %d bytes, %v", len(b), err)
	}
}

// What cannot be read is named and counted, and the code says that the snapshot is one in part.
func TestSnapshotInPart(t *testing.T) {
	s := remotetest.New(t)
	state, dir := enroll(t, s, "laptop"), t.TempDir()
	mustDo(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o644))
	// An attribute of a placeholder without a placeholder's mount.
	out, err := exec.Command("setfattr", "-n", "trusted.looming.x", "-v", "1", filepath.Join(dir, "f")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	code, text, errs := looming(t, state, "snapshot", "--root", dir, "--output", "json")
	var doc snapshotTaken
	mustDo(t, json.Unmarshal([]byte(text), &doc))
	if code != exit.PartCode || doc.Unreadable != 1 || len(doc.UnreadableFiles) != 1 || doc.UnreadableFiles[0].Path != "f" || !strings.Contains(errs, "f: ") {
		t.Errorf("code %d, %+v, %s", code, doc, errs)
	}
}

// A revoked device is told so, with its code; so is one whose server is away.
func TestRefused(t *testing.T) {
	s := remotetest.New(t)
	state, dir := enroll(t, s, "laptop"), t.TempDir()
	s.Fault = func(_ string, r *http.Request) error {
		if r.URL.Path == "/v1/sessions" {
			return wire.ErrConflict
		}
		return nil
	}
	if code, _, errs := looming(t, state, "snapshot", "--root", dir); code != exit.Conflict {
		t.Errorf("conflict: %d, %s", code, errs)
	}
	s.Fault = nil
	s.Revoke("laptop")
	if code, _, errs := looming(t, state, "snapshot", "--root", dir); code != exit.Denied {
		t.Errorf("revoked: %d, %s", code, errs)
	}
}
