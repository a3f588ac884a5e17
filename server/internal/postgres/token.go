package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// EnrolToken approves devices that show it.
type EnrolToken struct {
	ID      int64     `json:"id"`
	Uses    int       `json:"uses"` // left
	Created time.Time `json:"created"`
	Creator string    `json:"creator"`
	Expires time.Time `json:"expires"`
}

// AddEnrolToken keeps a token, which only its maker knows, and forgets those that expired a day ago.
func (db *DB) AddEnrolToken(ctx context.Context, token, creator string, uses int, ttl time.Duration) (t EnrolToken, err error) {
	sum := sha256.Sum256([]byte(token))
	err = db.tx(ctx, "make an enrolment token", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `delete from enrol_tokens where expires < now() - interval '1 day'`); err != nil {
			return err
		}
		t, err = scanToken(tx.QueryRowContext(ctx, `insert into enrol_tokens (hash, uses, creator, expires)
			values ($1, $2, $3, now() + make_interval(secs => $4)) returning id, uses, created, creator, expires`,
			sum[:], uses, creator, ttl.Seconds()))
		return err
	})
	return t, err
}

func scanToken(s scanner) (t EnrolToken, err error) {
	err = s.Scan(&t.ID, &t.Uses, &t.Created, &t.Creator, &t.Expires)
	return t, err
}

// EnrolTokens lists those that can still be used, the newest first.
func (db *DB) EnrolTokens(ctx context.Context) ([]EnrolToken, error) {
	return rows(ctx, db, "list enrolment tokens", func(rs *sql.Rows) (EnrolToken, error) { return scanToken(rs) },
		`select id, uses, created, creator, expires from enrol_tokens where uses > 0 and expires > now() order by id desc`)
}

// RemoveEnrolToken makes a token useless.
func (db *DB) RemoveEnrolToken(ctx context.Context, id int64) error {
	n, err := db.exec(ctx, "remove an enrolment token", `delete from enrol_tokens where id = $1`, id)
	if err == nil && n == 0 {
		return fmt.Errorf("enrolment token %d: %w", id, wire.ErrNotFound)
	}
	return err
}
