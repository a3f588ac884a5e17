package postgres

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
	"github.com/looming-project/looming/vfs/wire"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// testDB is an empty, migrated database.
func testDB(t testing.TB) *DB {
	t.Helper()
	return openDB(t, pgtest.Database(t))
}

func openDB(t testing.TB, dsn string) *DB {
	t.Helper()
	db, err := Open(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Servers that start at the same time on an empty database all end with the same schema.
func TestServersMigrateTogether(t *testing.T) {
	dsn := pgtest.Database(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			db, err := Open(t.Context(), dsn)
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := db.Migrated(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// A schema that a newer server made is refused, not used and not changed.
func TestNewerSchema(t *testing.T) {
	dsn := pgtest.Database(t)
	db := openDB(t, dsn)
	if _, err := db.sql.Exec(`insert into goose_db_version (version_id, is_applied) values (99999, true)`); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dsn); err == nil || !strings.Contains(err.Error(), "upgrade this one") {
		t.Errorf("a newer schema: %v", err)
	}
}

// The encryption of the connection is never left to a default.
func TestSSLModeIsExplicit(t *testing.T) {
	if _, err := Open(t.Context(), "postgres://db.example/looming"); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("over the network without sslmode: %v", err)
	}
	for dsn, want := range map[string]string{
		"host=/run/pg dbname=x":            "host=/run/pg dbname=x sslmode=disable",
		"postgres:///x?host=/run/pg":       "postgres:///x?host=/run/pg&sslmode=disable",
		"host=db sslmode=require dbname=x": "host=db sslmode=require dbname=x",
	} {
		if got, err := explicit(dsn); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", dsn, got, err, want)
		}
	}
}

// A database out of reach is "unavailable": Open waits for it as long as it may.
func TestOpenWaits(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	dsn := "host='" + filepath.Join(t.TempDir(), "none") + "' dbname=x sslmode=disable"
	if _, err := Open(ctx, dsn); !errors.Is(err, wire.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no database: %v", err)
	}
}

// What Postgres says becomes what the other end can act on.
func TestFaults(t *testing.T) {
	for code, want := range map[pqerror.Code]error{
		"53100": wire.ErrFull, "53300": wire.ErrUnavailable, "57P01": wire.ErrUnavailable, "08006": wire.ErrUnavailable,
		"40001": wire.ErrUnavailable, "23505": wire.ErrConflict, "22021": wire.ErrInvalid, "25006": wire.ErrUnavailable,
	} {
		if err := fault("try", &pq.Error{Code: code, Message: "secret"}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", code, err, want)
		} else if f := (*Fault)(nil); errors.As(err, &f) && strings.Contains(f.Public(), "secret") {
			t.Errorf("%s: what others are told has the database's own words: %s", code, f.Public())
		}
	}
	if err := fault("try", sql.ErrNoRows); !errors.Is(err, wire.ErrNotFound) {
		t.Error(err)
	}
	if err := fault("try", context.Canceled); !errors.Is(err, context.Canceled) || errors.Is(err, wire.ErrUnavailable) {
		t.Error(err)
	}
	if err := fault("try", wire.ErrExpired); !errors.Is(err, wire.ErrExpired) {
		t.Error(err)
	}
}

// Transactions that cancel each other are run again until all are through.
func TestTransactionsRunAgain(t *testing.T) {
	db := testDB(t)
	if _, err := db.sql.Exec(`create table n as select 0 as v`); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			err := db.tx(t.Context(), "count", func(tx *sql.Tx) error {
				if _, err := tx.Exec(`set transaction isolation level serializable`); err != nil {
					return err
				}
				var v int
				if err := tx.QueryRow(`select v from n`).Scan(&v); err != nil {
					return err
				}
				_, err := tx.Exec(`update n set v = $1`, v+1)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var v int
	if err := db.sql.QueryRow(`select v from n`).Scan(&v); err != nil || v != 8 {
		t.Errorf("counted %d, want 8: %v", v, err)
	}
}

// Listen hears what is notified, and says when it may have missed something.
func TestListen(t *testing.T) {
	db := testDB(t)
	ctx, cancel := context.WithCancel(t.Context())
	heard, ended := make(chan Heard, 100), make(chan error, 1)
	go func() { ended <- db.Listen(ctx, func(h Heard) { heard <- h }, DeviceChanged) }()
	for h := range heard {
		if !h.Lost {
			t.Fatalf("heard %+v before it was subscribed", h)
		}
		if h.Up {
			break
		}
	}
	if _, err := db.sql.Exec(`select pg_notify($1, '7')`, DeviceChanged); err != nil {
		t.Fatal(err)
	}
	for h := range heard {
		if !h.Lost {
			if h != (Heard{Channel: DeviceChanged, Payload: "7", Up: true}) {
				t.Errorf("heard %+v", h)
			}
			break
		}
	}
	if _, err := db.sql.Exec(`select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%'`); err != nil {
		t.Fatal(err)
	}
	if h := <-heard; !h.Lost || h.Up {
		t.Errorf("after the connection broke: %+v, want Lost", h)
	}
	for h := range heard {
		if h.Up {
			break
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
