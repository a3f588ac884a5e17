// Package postgres holds all SQL: a method of DB per operation, and the migrations.
//
// Every error that leaves the package went through fault, which gives it one of wire's sentinels where the person or
// the program at the other end can do something about it. Notifications carry ids only.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/looming-project/looming/vfs/wire"
)

// Bounds of the pool, per server. Postgres' own limit is shared by all servers.
const (
	maxConns    = 20
	idleTimeout = 5 * time.Minute
	lifetime    = time.Hour
)

// oldestServer is the first version whose features are used, as server_version_num.
const oldestServer = 130000

// DB is the database of all servers.
type DB struct {
	sql *sql.DB
	dsn string
}

// Open connects and brings the schema up to date. It waits until the database is up, or ctx ends. dsn is a URL or
// key=value list as lib/pq takes it; sslmode must be in it unless it names a Unix socket.
func Open(ctx context.Context, dsn string) (*DB, error) {
	dsn, err := explicit(dsn)
	if err != nil {
		return nil, err
	}
	c, err := connector(dsn)
	if err != nil {
		return nil, err
	}
	db := &DB{sql: sql.OpenDB(syncing{c}), dsn: dsn}
	db.sql.SetMaxOpenConns(maxConns)
	db.sql.SetMaxIdleConns(maxConns)
	db.sql.SetConnMaxIdleTime(idleTimeout)
	db.sql.SetConnMaxLifetime(lifetime)
	if err := db.begin(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Check says what is wrong with a connection string, without connecting.
func Check(dsn string) error {
	dsn, err := explicit(dsn)
	if err == nil {
		_, err = connector(dsn)
	}
	return err
}

func connector(dsn string) (*pq.Connector, error) {
	c, err := pq.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("%w: database: %w", wire.ErrInvalid, err)
	}
	return c, nil
}

// begin waits for the database and migrates it.
func (db *DB) begin(ctx context.Context) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := db.checkVersion(ctx)
		if err == nil {
			err = db.checkSync(ctx)
		}
		if err == nil {
			err = db.migrate(ctx)
		}
		if err == nil || !errors.Is(err, wire.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		slog.Warn("waiting for the database", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

func (db *DB) checkVersion(ctx context.Context) error {
	var v int
	if err := db.sql.QueryRowContext(ctx, `select current_setting('server_version_num')::int`).Scan(&v); err != nil {
		return fault("connect to the database", err)
	}
	if v < oldestServer {
		return fmt.Errorf("the database is PostgreSQL %d: version %d or later is needed", v/10000, oldestServer/10000)
	}
	return nil
}

// explicit makes sure that the encryption of the connection is chosen, not a default of the driver's.
func explicit(dsn string) (string, error) {
	if strings.Contains(dsn, "sslmode=") {
		return dsn, nil
	}
	cfg, err := pq.NewConfig(dsn)
	if err != nil {
		return "", fmt.Errorf("%w: database: %w", wire.ErrInvalid, err)
	}
	if !strings.HasPrefix(cfg.Host, "/") {
		return "", fmt.Errorf("%w: database: add sslmode=verify-full to the connection string (or sslmode=disable on a trusted network)", wire.ErrInvalid)
	}
	if strings.Contains(dsn, "://") {
		if strings.Contains(dsn, "?") {
			return dsn + "&sslmode=disable", nil
		}
		return dsn + "?sslmode=disable", nil
	}
	return dsn + " sslmode=disable", nil
}

// Close ends all connections. That some were broken already is nobody's concern any more.
func (db *DB) Close() error {
	_ = db.sql.Close()
	return nil
}

// Ping says whether the database answers and lets us write.
func (db *DB) Ping(ctx context.Context) error {
	var readOnly bool
	err := db.sql.QueryRowContext(ctx, `select current_setting('transaction_read_only')::bool`).Scan(&readOnly)
	if err != nil {
		return fault("ping the database", err)
	}
	if readOnly {
		return fmt.Errorf("%w: the database is read-only (a standby?)", wire.ErrUnavailable)
	}
	return nil
}

// PoolStats are figures about the connections.
func (db *DB) PoolStats() sql.DBStats { return db.sql.Stats() }

// txAttempts bounds how often a transaction is tried that others came between.
const txAttempts = 12

// tx runs fn in a transaction and commits it. When Postgres cancels it because of others, it is run again, so fn must
// leave nothing behind but what is in the transaction. op names it in errors.
func (db *DB) tx(ctx context.Context, op string, fn func(tx *sql.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := db.try(ctx, fn)
		if pq.As(err, retryable...) == nil || attempt == txAttempts {
			return fault(op, err)
		}
		pause := time.Duration(rand.Int64N(int64(time.Millisecond) << min(attempt, 7)))
		select {
		case <-ctx.Done():
			return fault(op, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func (db *DB) try(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := db.sql.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// exec runs one statement and returns how many rows it touched.
func (db *DB) exec(ctx context.Context, op, query string, args ...any) (int64, error) {
	res, err := db.sql.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, fault(op, err)
	}
	n, err := res.RowsAffected()
	return n, fault(op, err)
}

// rows collects what a query answers.
func rows[T any](ctx context.Context, db *DB, op string, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	all := []T{}
	if err := each(ctx, db, op, scan, func(v T) { all = append(all, v) }, query, args...); err != nil {
		return nil, err
	}
	return all, nil
}

// each hands out what a query answers, row by row, over one connection of the pool.
func each[T any](ctx context.Context, db *DB, op string, scan func(*sql.Rows) (T, error), take func(T), query string, args ...any) error {
	rs, err := db.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return fault(op, err)
	}
	defer rs.Close()
	for rs.Next() {
		v, err := scan(rs)
		if err != nil {
			return fault(op, err)
		}
		take(v)
	}
	return fault(op, rs.Err())
}
