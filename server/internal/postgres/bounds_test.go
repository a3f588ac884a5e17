package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
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

// One network takes no more than its share of the places where devices wait; a token needs no place, and who asks again
// keeps the one it has.
func TestPendingPerNetwork(t *testing.T) {
	db := testDB(t)
	ctx := t.Context()
	from := func(i int, address string) Enrolment {
		return Enrolment{Name: fmt.Sprint("d", i), Address: address, Fingerprint: Fingerprint{byte(i), byte(i >> 8), 1}}
	}
	for i := range maxPendingNetwork {
		mustEnrol(t, db, from(i, fmt.Sprintf("2001:db8::%x", i+1)))
	}
	if _, err := db.Enrol(ctx, from(1000, "2001:db8::ffff")); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("one more of that network: %v", err)
	}
	mustEnrol(t, db, from(0, "2001:db8::1"))
	mustEnrol(t, db, from(1001, "2001:db8:0:1::1"))
	mustEnrol(t, db, from(1002, "192.0.2.1"))
	if _, err := db.AddEnrolToken(ctx, "secret", "x", 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	e := from(1003, "2001:db8::1")
	e.Token = "secret"
	if d := mustEnrol(t, db, e); d.State != Approved {
		t.Errorf("with a token: %+v", d)
	}
}

// Devices that gave up waiting are forgotten; those that still ask, and those that were approved or revoked, are not.
func TestPrunePending(t *testing.T) {
	db := testDB(t)
	ctx := t.Context()
	for i, name := range []string{"gone", "waiting", "approved", "revoked"} {
		mustEnrol(t, db, enrolment(name, byte(i+1)))
	}
	if _, err := db.ApproveDevice(ctx, "approved", "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.RevokeDevice(ctx, "revoked"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.sql.Exec(`update devices set last_seen = now() - interval '25 hours' where name <> 'waiting'`); err != nil {
		t.Fatal(err)
	}
	if err := db.PrunePending(ctx, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	left, err := db.Devices(ctx, "")
	if err != nil || len(left) != 3 {
		t.Errorf("left are %+v, %v", left, err)
	}
	for _, d := range left {
		if d.Name == "gone" {
			t.Error("who gave up waiting is still there")
		}
	}
}

// A new key is the device's from then on: certificates of the old one end within a day, and count for nothing then.
func TestOldKeyEnds(t *testing.T) {
	db := testDB(t)
	ctx := t.Context()
	d := mustEnrol(t, db, enrolment("a", 1))
	mustEnrol(t, db, enrolment("b", 9))
	if _, err := db.ApproveDevice(ctx, "a", "x"); err != nil {
		t.Fatal(err)
	}
	add := func(serial string, key, shown byte) error {
		return db.AddCertificate(ctx, d.ID, Certificate{
			Serial: []byte(serial), Fingerprint: Fingerprint{key}, Shown: Fingerprint{shown}, PEM: "pem", NotAfter: time.Now().Add(90 * 24 * time.Hour),
		})
	}
	for _, c := range []struct {
		serial     string
		key, shown byte
		want       error
	}{{"one", 1, 1, nil}, {"two", 2, 1, nil}, {"three", 3, 1, wire.ErrDenied}, {"one again", 1, 1, wire.ErrDenied}, {"b's", 9, 2, wire.ErrConflict}} {
		if err := add(c.serial, c.key, c.shown); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.serial, err, c.want)
		}
	}
	if now, err := db.DeviceOf(ctx, []byte("one")); err != nil || now.Fingerprint != (Fingerprint{2}) {
		t.Errorf("at once: %+v, %v", now, err)
	}
	if _, err := db.sql.Exec(`update certificates set not_after = not_after - interval '24 hours'`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.DeviceOf(ctx, []byte("one")); !errors.Is(err, wire.ErrNotFound) {
		t.Errorf("the old one after a day: %v", err)
	}
	if _, err := db.DeviceOf(ctx, []byte("two")); err != nil {
		t.Errorf("the new one after a day: %v", err)
	}
}

// Commits wait for the disk, even where the database's own settings say otherwise; a setting that promises more stays. A
// database that does not sync at all is warned of.
func TestCommitsAreSynced(t *testing.T) {
	dsn := pgtest.Database(t)
	var logged bytes.Buffer
	was := slog.Default()
	defer slog.SetDefault(was)
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	first := openDB(t, dsn)
	if !strings.Contains(logged.String(), "fsync = off") { // as pgtest's is
		t.Errorf("no warning of fsync = off: %s", &logged)
	}
	var name string
	if err := first.sql.QueryRow(`select current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]string{"off": "on", "on": "on", "remote_apply": "remote_apply"} {
		if _, err := first.sql.Exec(`alter database ` + name + ` set synchronous_commit = ` + set); err != nil {
			t.Fatal(err)
		}
		db := openDB(t, dsn)
		var got string
		if err := db.sql.QueryRow(`select current_setting('synchronous_commit')`).Scan(&got); err != nil || got != want {
			t.Errorf("set to %s: %s, want %s: %v", set, got, want, err)
		}
	}
}
