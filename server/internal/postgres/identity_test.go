package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/looming-project/looming/vfs/wire"
)

func enrolment(name string, key byte) Enrolment {
	return Enrolment{Name: name, Host: "host", OS: "linux", Address: "192.0.2.1", Fingerprint: Fingerprint{key}}
}

func mustEnrol(t *testing.T, db *DB, e Enrolment) Device {
	t.Helper()
	d, err := db.Enrol(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A device waits until it is approved; asking again with the same key is the same request; a name or a key that is
// taken is a conflict; a revoked device stays out.
func TestEnrol(t *testing.T) {
	db := testDB(t)
	ctx := t.Context()
	if d := mustEnrol(t, db, enrolment("a", 1)); d.State != Pending || d.Fingerprint != (Fingerprint{1}) {
		t.Errorf("first asked: %+v", d)
	}
	if again := mustEnrol(t, db, enrolment("a", 1)); again.State != Pending {
		t.Errorf("asked again: %+v", again)
	}
	if _, err := db.Enrol(ctx, enrolment("a", 2)); !errors.Is(err, wire.ErrConflict) {
		t.Errorf("another key with the name: %v", err)
	}
	if _, err := db.Enrol(ctx, enrolment("b", 1)); !errors.Is(err, wire.ErrConflict) {
		t.Errorf("another name with the key: %v", err)
	}
	for range 2 {
		if d, err := db.ApproveDevice(ctx, "a", "admin:x"); err != nil || d.State != Approved || d.ApprovedBy != "admin:x" || d.ApprovedAt.IsZero() {
			t.Errorf("approved: %+v, %v", d, err)
		}
	}
	if _, err := db.RevokeDevice(ctx, "a"); err != nil {
		t.Error(err)
	}
	if _, err := db.Enrol(ctx, enrolment("a", 1)); !errors.Is(err, wire.ErrDenied) {
		t.Errorf("a revoked device asks: %v", err)
	}
	if _, err := db.ApproveDevice(ctx, "a", "admin:x"); !errors.Is(err, wire.ErrConflict) {
		t.Errorf("approving a revoked device: %v", err)
	}
	if err := db.RemoveDevice(ctx, "a"); err != nil {
		t.Error(err)
	}
	if d := mustEnrol(t, db, enrolment("a", 1)); d.State != Pending {
		t.Errorf("after it was removed: %+v", d)
	}
	if err := db.RemoveDevice(ctx, "none"); !errors.Is(err, wire.ErrNotFound) {
		t.Errorf("removing nobody: %v", err)
	}
}

// A token with one use lets exactly one of many devices in, and that one may ask again.
func TestTokenIsUsedOnce(t *testing.T) {
	db := testDB(t)
	if _, err := db.AddEnrolToken(t.Context(), "secret", "x", 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	var approved, denied atomic.Int32
	var all sync.WaitGroup
	for i := range byte(8) {
		all.Go(func() {
			e := enrolment(fmt.Sprint("d", i), i+1)
			e.Token = "secret"
			d, err := db.Enrol(t.Context(), e)
			switch {
			case errors.Is(err, wire.ErrDenied):
				denied.Add(1)
			case err != nil:
				t.Error(err)
			case d.State == Approved:
				approved.Add(1)
				if again, err := db.Enrol(t.Context(), e); err != nil || again.State != Approved {
					t.Errorf("the same again: %+v, %v", again, err)
				}
			}
		})
	}
	all.Wait()
	if approved.Load() != 1 || denied.Load() != 7 {
		t.Errorf("%d approved and %d denied, want 1 and 7", approved.Load(), denied.Load())
	}
	if ds, err := db.Devices(t.Context(), ""); err != nil || len(ds) != 1 {
		t.Errorf("refused devices left something behind: %v, %v", ds, err)
	}
	if _, err := db.AddEnrolToken(t.Context(), "late", "x", 1, -time.Second); err != nil {
		t.Fatal(err)
	}
	e := enrolment("late", 99)
	e.Token = "late"
	if _, err := db.Enrol(t.Context(), e); !errors.Is(err, wire.ErrDenied) {
		t.Errorf("an expired token: %v", err)
	}
}

// Invariant 8: a device sees its own desktops and those assigned to it, and no others exist for it.
func TestDesktopsOfADevice(t *testing.T) {
	db := testDB(t)
	ctx := t.Context()
	a, b := mustEnrol(t, db, enrolment("a", 1)), mustEnrol(t, db, enrolment("b", 2))
	for _, d := range []Device{a, b} {
		if _, err := db.ApproveDevice(ctx, d.Name, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.sql.Exec(`insert into cvds (name, device_id) values ('desk', $1)`, a.ID); err != nil {
		t.Fatal(err)
	}
	writes := func(d Device, want error) {
		t.Helper()
		err := db.AddTally(ctx, d.ID, "desk", func(had []byte) []byte { return append(had, d.Name...) })
		if !errors.Is(err, want) {
			t.Errorf("%s adds to the tally of desk: %v, want %v", d.Name, err, want)
		}
	}
	sees := func(d Device, want bool) {
		t.Helper()
		_, err := db.CVDFor(ctx, d.ID, "desk")
		list, err2 := db.CVDsOf(ctx, d.ID)
		err3 := db.EachTally(ctx, d.ID, "desk", func(Tally) {})
		if err2 != nil {
			t.Error(err2)
		}
		for _, err := range []error{err, err3} {
			if want && err != nil || !want && !errors.Is(err, wire.ErrNotFound) {
				t.Errorf("%s sees desk, want %v: %v", d.Name, want, err)
			}
		}
		if len(list) == 1 != want {
			t.Errorf("%s lists %v, want to see desk: %v", d.Name, list, want)
		}
	}
	sees(a, true)
	writes(a, nil)
	sees(b, false)
	writes(b, wire.ErrNotFound)
	for range 2 {
		if err := db.Assign(ctx, "desk", "b", "x"); err != nil {
			t.Fatal(err)
		}
	}
	sees(b, true)
	writes(b, nil)
	if all, err := tallies(db, b.ID, "desk"); err != nil || len(all) != 2 || string(all[0].Encoded) != "a" || !all[0].Own || string(all[1].Encoded) != "b" || all[1].Own {
		t.Errorf("the tallies are %v, %v", all, err)
	}
	if err := db.Unassign(ctx, "desk", "b"); err != nil {
		t.Fatal(err)
	}
	sees(b, false)
	if all, err := tallies(db, a.ID, "desk"); err != nil || len(all) != 1 || all[0].Device != a.ID {
		t.Errorf("the tallies without that of a device that may not read the desktop any more: %v, %v", all, err)
	}
	if err := db.Assign(ctx, "desk", "nobody", "x"); !errors.Is(err, wire.ErrNotFound) {
		t.Error(err)
	}
	if err := db.Assign(ctx, "nothing", "b", "x"); !errors.Is(err, wire.ErrNotFound) {
		t.Error(err)
	}
	if all, err := ownTallies(db); err != nil || len(all) != 1 || all[0].Device != a.ID {
		t.Errorf("the tallies of owners: %v, %v", all, err)
	}
	if err := db.RemoveDevice(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if c, err := db.CVD(ctx, "desk"); err != nil || c.Owner != "" {
		t.Errorf("the desktop of a removed device: %+v, %v", c, err)
	}
	if all, err := ownTallies(db); err != nil || len(all) > 0 {
		t.Errorf("the tallies of owners that are gone: %v, %v", all, err)
	}
}

// tallies are those of a desktop that a device is handed.
func tallies(db *DB, device int64, name string) (all []Tally, err error) {
	err = db.EachTally(context.Background(), device, name, func(t Tally) { all = append(all, t) })
	return all, err
}

func ownTallies(db *DB) (all []Tally, err error) {
	err = db.EachOwnTally(context.Background(), func(t Tally) { all = append(all, t) })
	return all, err
}

// What an owner learnt stays with the desktop, whoever has it next; what another device learnt goes with that.
func TestTalliesOutliveOwners(t *testing.T) {
	db := testDB(t)
	ctx := t.Context()
	of := map[string]Device{}
	for i, name := range []string{"first", "second", "third", "guest"} {
		of[name] = mustEnrol(t, db, enrolment(name, byte(i+1)))
		if _, err := db.ApproveDevice(ctx, name, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.sql.Exec(`insert into cvds (name, device_id) values ('desk', $1)`, of["first"].ID); err != nil {
		t.Fatal(err)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	says := func(name string) {
		t.Helper()
		do(db.AddTally(ctx, of[name].ID, "desk", func([]byte) []byte { return []byte(name) }))
	}
	do(db.Assign(ctx, "desk", "guest", "x"))
	says("guest")
	says("first")
	do(db.Own(ctx, "desk", "second"))
	says("second")
	do(db.RemoveDevice(ctx, "second"))
	do(db.RemoveDevice(ctx, "guest"))
	do(db.Own(ctx, "desk", "third"))
	all, err := tallies(db, of["third"].ID, "desk")
	do(err)
	if len(all) != 2 || string(all[0].Encoded) != "second" || string(all[1].Encoded) != "first" || !all[0].Own || !all[1].Own {
		t.Errorf("the tallies of the new owner are %v", all)
	}
}

// Invariant 2: of what is added to a tally at once, nothing is lost.
func TestTallyAddedAtOnce(t *testing.T) {
	db := testDB(t)
	ctx := t.Context()
	a := mustEnrol(t, db, enrolment("a", 1))
	if _, err := db.ApproveDevice(ctx, "a", "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.sql.Exec(`insert into cvds (name, device_id) values ('desk', $1)`, a.ID); err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for range 16 {
		g.Go(func() error {
			return db.AddTally(ctx, a.ID, "desk", func(had []byte) []byte { return append(had, 'x') })
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if all, err := tallies(db, a.ID, "desk"); err != nil || len(all) != 1 || len(all[0].Encoded) != 16 {
		t.Errorf("%v, %v", all, err)
	}
}

// A certificate is kept only for an approved device, and leads to that device until it is removed.
func TestCertificates(t *testing.T) {
	db := testDB(t)
	ctx := t.Context()
	d := mustEnrol(t, db, enrolment("a", 1))
	c := Certificate{Serial: []byte("s"), Fingerprint: d.Fingerprint, PEM: "pem", NotAfter: time.Now().Add(time.Hour)}
	if err := db.AddCertificate(ctx, d.ID, c); !errors.Is(err, wire.ErrDenied) {
		t.Errorf("for a pending device: %v", err)
	}
	if _, err := db.ApproveDevice(ctx, "a", "x"); err != nil {
		t.Fatal(err)
	}
	if err := db.AddCertificate(ctx, d.ID, c); err != nil {
		t.Fatal(err)
	}
	if got, err := db.LatestCertificate(ctx, d.ID, d.Fingerprint); err != nil || got.PEM != "pem" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := db.DeviceOf(ctx, c.Serial); err != nil || got.ID != d.ID || got.State != Approved {
		t.Errorf("%+v, %v", got, err)
	}
	if err := db.RemoveDevice(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.DeviceOf(ctx, c.Serial); !errors.Is(err, wire.ErrNotFound) {
		t.Errorf("of a removed device: %v", err)
	}
}

// Admins: a name once, the last one stays, sessions end by time, logout and a new password; tokens outlive passwords.
func TestAdmins(t *testing.T) {
	db := testDB(t)
	ctx := t.Context()
	for i, want := range []bool{true, false} {
		if first, err := db.FirstAdmin(ctx, fmt.Sprint("admin", i), "hash"); err != nil || first != want {
			t.Errorf("%d: first is %v, want %v: %v", i, first, want, err)
		}
	}
	if err := db.AddAdmin(ctx, "admin0", "h"); !errors.Is(err, wire.ErrConflict) {
		t.Errorf("the name again: %v", err)
	}
	if err := db.RemoveAdmin(ctx, "admin0"); !errors.Is(err, wire.ErrConflict) {
		t.Errorf("removing the last: %v", err)
	}
	add := func(secret string, kind SessionKind, ttl time.Duration) {
		t.Helper()
		if _, err := db.AddSession(ctx, secret, "admin0", kind, ttl); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(secret string, want bool) {
		t.Helper()
		name, err := db.SessionAdmin(ctx, secret)
		if want && (err != nil || name != "admin0") || !want && !errors.Is(err, wire.ErrDenied) {
			t.Errorf("%s, want %v: %q, %v", secret, want, name, err)
		}
	}
	add("late", LoginSession, -time.Second)
	holds("late", false)
	add("token", APIToken, 0)
	add("login", LoginSession, time.Hour)
	add("out", LoginSession, time.Hour)
	holds("token", true)
	holds("login", true)
	if err := db.RemoveSession(ctx, "out"); err != nil {
		t.Fatal(err)
	}
	holds("out", false)
	if err := db.SetAdminHash(ctx, "admin0", "new"); err != nil {
		t.Fatal(err)
	}
	holds("login", false)
	holds("token", true)
	if err := db.AddAdmin(ctx, "other", "h"); err != nil {
		t.Fatal(err)
	}
	if err := db.RemoveAdmin(ctx, "admin0"); err != nil {
		t.Fatal(err)
	}
	holds("token", false)
}

// Servers that start together share one secret.
func TestSecretIsShared(t *testing.T) {
	db := testDB(t)
	var all sync.WaitGroup
	got := make([]string, 6)
	for i := range got {
		all.Go(func() {
			v, err := db.Secret(t.Context(), "ca", func() ([]byte, error) { return []byte(fmt.Sprint("made by ", i)), nil })
			if err != nil {
				t.Error(err)
			}
			got[i] = string(v)
		})
	}
	all.Wait()
	for _, v := range got {
		if v != got[0] || v == "" {
			t.Errorf("servers have different secrets: %q", got)
			break
		}
	}
}

// What a device says replaces what it said about the same work, and is forgotten in time.
func TestProgress(t *testing.T) {
	db := testDB(t)
	ctx := t.Context()
	d := mustEnrol(t, db, enrolment("a", 1))
	for i := range uint64(3) {
		if err := db.SetProgress(ctx, d.ID, &wire.Progress{Kind: "stream", Target: "/t", Phase: "filling", BytesDone: i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.SetProgress(ctx, d.ID, &wire.Progress{Kind: "snapshot", Phase: "scanning"}); err != nil {
		t.Fatal(err)
	}
	ps, err := db.Progresses(ctx, time.Hour, 10)
	if err != nil || len(ps) != 2 || ps[0].Kind != "snapshot" || ps[1].BytesDone != 2 || ps[1].Device != "a" {
		t.Errorf("%+v, %v", ps, err)
	}
	if err := db.PruneProgress(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if ps, err := db.Progresses(ctx, time.Hour, 10); err != nil || len(ps) != 0 {
		t.Errorf("%+v, %v", ps, err)
	}
}

// The audit log keeps who was refused what, latest first.
func TestAudit(t *testing.T) {
	db := testDB(t)
	for _, a := range []Audit{{Who: "admin:x", What: "approve", Subject: "a"}, {Who: "device:b", What: "connect", Refused: true, Reason: "revoked"}} {
		if err := db.AddAudit(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	as, err := db.Audits(t.Context(), 10)
	if err != nil || len(as) != 2 || !as[0].Refused || as[0].Reason != "revoked" || as[1].Refused || as[1].At.IsZero() {
		t.Errorf("%+v, %v", as, err)
	}
}
