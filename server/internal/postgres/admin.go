package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// Admin is somebody who may log in.
type Admin struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

// SessionKind tells a browser's login from a program's token.
type SessionKind string

// The kinds of what admins show.
const (
	LoginSession SessionKind = "session"
	APIToken     SessionKind = "token"
)

// AddAdmin adds an admin with the hash of a password; the name must be free.
func (db *DB) AddAdmin(ctx context.Context, name, hash string) error {
	_, err := db.sql.ExecContext(ctx, `insert into admins (name, hash) values ($1, $2)`, name, hash)
	if isUnique(err) {
		return fmt.Errorf("admin %q: %w: there is one already", name, wire.ErrConflict)
	}
	return fault(fmt.Sprintf("add admin %q", name), err)
}

// FirstAdmin adds the first admin of all; false if there are some already.
func (db *DB) FirstAdmin(ctx context.Context, name, hash string) (bool, error) {
	n, err := db.exec(ctx, "add the first admin", `insert into admins (name, hash)
		select $1, $2 where not exists (select from admins) on conflict do nothing`, name, hash)
	return n == 1, err
}

// AdminHash is the hash of an admin's password.
func (db *DB) AdminHash(ctx context.Context, name string) (hash string, err error) {
	err = db.sql.QueryRowContext(ctx, `select hash from admins where name = $1`, name).Scan(&hash)
	return hash, fault(fmt.Sprintf("admin %q", name), err)
}

// SetAdminHash changes a password and ends the logins under the old one; tokens stay (RemoveTokens).
func (db *DB) SetAdminHash(ctx context.Context, name, hash string) error {
	return db.tx(ctx, fmt.Sprintf("admin %q", name), func(tx *sql.Tx) error {
		var found string
		if err := tx.QueryRowContext(ctx, `update admins set hash = $2 where name = $1 returning name`, name, hash).Scan(&found); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from admin_sessions where admin = $1 and kind = 'session'`, name)
		return err
	})
}

// RemoveTokens makes the tokens of an admin useless, and says how many there were.
func (db *DB) RemoveTokens(ctx context.Context, name string) (n int64, err error) {
	err = db.tx(ctx, fmt.Sprintf("tokens of admin %q", name), func(tx *sql.Tx) error {
		var found string
		if err := tx.QueryRowContext(ctx, `select name from admins where name = $1 for update`, name).Scan(&found); err != nil {
			return err
		}
		n, err = affected(tx.ExecContext(ctx, `delete from admin_sessions where admin = $1 and kind = 'token'`, name))
		return err
	})
	return n, err
}

// RemoveAdmin removes an admin and what that one shows; the last one stays.
func (db *DB) RemoveAdmin(ctx context.Context, name string) error {
	return db.tx(ctx, fmt.Sprintf("remove admin %q", name), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `lock table admins in share row exclusive mode`); err != nil {
			return err
		}
		var found string
		if err := tx.QueryRowContext(ctx, `delete from admins where name = $1 returning name`, name).Scan(&found); err != nil {
			return err
		}
		var left int
		if err := tx.QueryRowContext(ctx, `select count(*) from admins`).Scan(&left); err != nil {
			return err
		}
		if left == 0 {
			return fmt.Errorf("%w: it is the last admin", wire.ErrConflict)
		}
		return nil
	})
}

// Admins lists all by name.
func (db *DB) Admins(ctx context.Context) ([]Admin, error) {
	return rows(ctx, db, "list admins", func(rs *sql.Rows) (a Admin, err error) { return a, rs.Scan(&a.Name, &a.Created) },
		`select name, created from admins order by name`)
}

// AddSession keeps what an admin will show; a ttl of 0 never ends.
func (db *DB) AddSession(ctx context.Context, secret, admin string, kind SessionKind, ttl time.Duration) (expires time.Time, err error) {
	sum := sha256.Sum256([]byte(secret))
	err = db.tx(ctx, "begin a session", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `delete from admin_sessions where expires < now()`); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `insert into admin_sessions (hash, admin, kind, expires)
			values ($1, $2, $3, now() + make_interval(secs => nullif($4::float8, 0))) returning expires`,
			sum[:], admin, string(kind), ttl.Seconds()).Scan(when{&expires})
	})
	return expires, err
}

// SessionAdmin finds whose a secret is; denied if it is nobody's or has ended.
func (db *DB) SessionAdmin(ctx context.Context, secret string) (admin string, err error) {
	sum := sha256.Sum256([]byte(secret))
	err = db.sql.QueryRowContext(ctx, `select admin from admin_sessions
		where hash = $1 and (expires is null or expires > now())`, sum[:]).Scan(&admin)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("%w: the session or token is not known or has ended", wire.ErrDenied)
	}
	return admin, fault("check a session", err)
}

// RemoveSession ends one. It is done already if there is none.
func (db *DB) RemoveSession(ctx context.Context, secret string) error {
	sum := sha256.Sum256([]byte(secret))
	_, err := db.exec(ctx, "end a session", `delete from admin_sessions where hash = $1`, sum[:])
	return err
}
