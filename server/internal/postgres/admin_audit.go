package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Audit is one row of who did what, or was refused what.
type Audit struct {
	At      time.Time `json:"at"`
	Who     string    `json:"who"` // admin:NAME, device:NAME, or what a stranger claims to be
	Address string    `json:"address"`
	What    string    `json:"what"`
	Subject string    `json:"subject,omitempty"`
	Refused bool      `json:"refused"`
	Reason  string    `json:"reason,omitempty"`
}

// AddAudit writes a row; At is the database's time.
func (db *DB) AddAudit(ctx context.Context, a Audit) error {
	outcome := "done"
	if a.Refused {
		outcome = "refused"
	}
	_, err := db.exec(ctx, "write the audit log", `insert into audit (who, address, what, subject, outcome, reason)
		values ($1, $2, $3, $4, $5, $6)`, a.Who, a.Address, a.What, a.Subject, outcome, a.Reason)
	return err
}

// Audits lists the latest rows, the newest first.
func (db *DB) Audits(ctx context.Context, limit int) ([]Audit, error) {
	return rows(ctx, db, "read the audit log", func(rs *sql.Rows) (a Audit, err error) {
		return a, rs.Scan(&a.At, &a.Who, &a.Address, &a.What, &a.Subject, &a.Refused, &a.Reason)
	}, `select at, who, address, what, subject, outcome = 'refused', reason from audit order by id desc limit $1`, limit)
}

// PruneAudit forgets what is older than an age.
func (db *DB) PruneAudit(ctx context.Context, age time.Duration) error {
	_, err := db.exec(ctx, "prune the audit log", `delete from audit where at < now() - make_interval(secs => $1)`, age.Seconds())
	return err
}

// Secret reads what all servers share under a name. The first who asks makes it.
func (db *DB) Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	op := fmt.Sprintf("secret %q", name)
	v, err := db.secret(ctx, name)
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return v, fault(op, err)
	}
	if v, err = make(); err != nil {
		return nil, err
	}
	if _, err := db.exec(ctx, op, `insert into secrets (name, value) values ($1, $2) on conflict do nothing`, name, v); err != nil {
		return nil, err
	}
	v, err = db.secret(ctx, name) // another server may have been faster
	return v, fault(op, err)
}

func (db *DB) secret(ctx context.Context, name string) (v []byte, err error) {
	err = db.sql.QueryRowContext(ctx, `select value from secrets where name = $1`, name).Scan(&v)
	return v, err
}
