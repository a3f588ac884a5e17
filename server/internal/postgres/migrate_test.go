package postgres

import (
	"database/sql"
	"testing"

	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
)

// A database in use comes up to date with what is in it: tallies move to the devices that owned the desktops, volumes take
// packs as before, and devices are not limited.
func TestMigrateWithData(t *testing.T) {
	dsn := pgtest.Database(t)
	migrateTo(t, dsn, 21, `
		insert into devices (name, fingerprint, state) values ('a', 'a', 'approved');
		insert into cvds (name, device_id, tally) values
			('learnt', 1, 'what a learnt'), ('orphan', null, 'what somebody learnt'), ('empty', 1, ''), ('new', 1, null);
		insert into volumes (uuid, url) values (decode(repeat('11', 16), 'hex'), '/volume');`)
	db := openDB(t, dsn)
	for desktop, want := range map[string]string{"learnt": "what a learnt", "empty": "", "new": ""} {
		all, err := tallies(db, 1, desktop)
		if err != nil || want == "" && len(all) > 0 || want != "" && (len(all) != 1 || string(all[0].Encoded) != want || !all[0].Own) {
			t.Errorf("the tallies of %s: %v, %v, want %q", desktop, all, err, want)
		}
	}
	var orphan string
	if err := db.sql.QueryRow(`select tally from tallies t join cvds c on c.id = t.cvd_id where c.name = 'orphan'`).Scan(&orphan); err != nil ||
		orphan != "what somebody learnt" {
		t.Errorf("the tally of a desktop without an owner: %q, %v", orphan, err)
	}
	if all, err := db.Volumes(t.Context()); err != nil || len(all) != 1 || all[0].Drained || all[0].URL != "/volume" {
		t.Errorf("the volumes: %+v, %v", all, err)
	}
	if all, err := db.Limits(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("the limits: %+v, %v", all, err)
	}
}

// migrateTo brings an empty database to an earlier version and fills it.
func migrateTo(t *testing.T, dsn string, version int64, fill string) {
	t.Helper()
	raw, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	p, err := (&DB{sql: raw}).migrations()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec(fill); err != nil {
		t.Fatal(err)
	}
}
