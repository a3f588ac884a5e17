package postgres

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// A device tells of a few pieces of work: what it makes up beyond that pushes out the oldest of its own, not others',
// and a target may be as long and as odd as it likes.
func TestProgressIsBounded(t *testing.T) {
	db := testDB(t)
	ctx := t.Context()
	a, b := mustEnrol(t, db, enrolment("a", 1)), mustEnrol(t, db, enrolment("b", 2))
	set := func(d Device, target string) {
		t.Helper()
		if err := db.SetProgress(ctx, d.ID, &wire.Progress{Kind: "stream", Target: target}); err != nil {
			t.Fatal(err)
		}
	}
	set(b, "kept")
	long := make([]rune, 4000)
	for i := range long {
		long[i] = rune('!' + rand.IntN(90)) // nothing that compresses into an index
	}
	set(a, string(long))
	for i := range 300 {
		set(a, fmt.Sprint(i))
	}
	set(a, "299")
	ps, err := db.Progresses(ctx, time.Hour, 1000)
	if err != nil || len(ps) != progressMax+1 {
		t.Fatalf("%d rows, want %d: %v", len(ps), progressMax+1, err)
	}
	if ps[0].Target != "299" || ps[progressMax].Target != "kept" || ps[progressMax].Device != "b" {
		t.Errorf("the latest is %q, the oldest %q of %s", ps[0].Target, ps[progressMax].Target, ps[progressMax].Device)
	}
}

// A device that is revoked has no upload under way any more; others keep theirs.
func TestRevokedUploadsEnd(t *testing.T) {
	db := testDB(t)
	ctx := t.Context()
	for i, name := range []string{"a", "b"} {
		mustEnrol(t, db, enrolment(name, byte(i+1)))
		if _, err := db.ApproveDevice(ctx, name, "x"); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(device string) Token {
		t.Helper()
		d, err := db.Device(ctx, device)
		if err != nil {
			t.Fatal(err)
		}
		s, err := db.BeginSession(ctx, d.ID, "desk-"+device, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return s.Token
	}
	a, b := begin("a"), begin("b")
	if _, err := db.RevokeDevice(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[Token]bool{a: false, b: true} {
		if open, err := db.SessionOpen(ctx, token); err != nil || open != want {
			t.Errorf("open %v, want %v: %v", open, want, err)
		}
	}
}
