package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// Token is an upload session's name outside: sixteen random bytes.
type Token [16]byte

// String is the token in hexadecimal.
func (t Token) String() string { return hex.EncodeToString(t[:]) }

// ParseToken reads what String writes. What is none names no session.
func ParseToken(s string) (t Token, err error) {
	if n, err := hex.Decode(t[:], []byte(s)); err != nil || n != len(t) || len(s) != 2*len(t) {
		return Token{}, fmt.Errorf("%w: there is no session %q", wire.ErrExpired, s)
	}
	return t, nil
}

// Session is an open upload session.
type Session struct {
	ID     int64
	Token  Token
	Device int64
	CVD    int64
	Name   string // the CVD's
	Secret [32]byte
	// Committed is set when the session is not open any more because it ended with this snapshot.
	Committed cvd.SnapshotID
	Lease     time.Duration
}

// holdApproved keeps a device approved until tx ends; one that is not is wire.ErrDenied.
func holdApproved(ctx context.Context, tx *sql.Tx, device int64) error {
	var state string
	err := tx.QueryRowContext(ctx, `select state from devices where id = $1 for no key update`, device).Scan(&state)
	if err == nil && state == string(Approved) {
		return nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return notApproved()
}

// sessionsMax is how many sessions of one device may be open.
const sessionsMax = 16

// fewOpen is wire.ErrUnavailable for a device that has all the sessions that it may. Its row is held.
func fewOpen(ctx context.Context, tx *sql.Tx, device int64) error {
	var open int
	err := tx.QueryRowContext(ctx, `
		select count(*) from sessions where device_id = $1 and state = 0 and lease_until > clock_timestamp()`, device).Scan(&open)
	if err == nil && open >= sessionsMax {
		err = fmt.Errorf("%w: the device has %d upload sessions open: end one, or wait until they expire", wire.ErrUnavailable, open)
	}
	return err
}

func notApproved() error {
	return fmt.Errorf("%w: the device is not approved any more", wire.ErrDenied)
}

// CheckApproved is wire.ErrDenied for a device that is not approved.
func (db *DB) CheckApproved(ctx context.Context, device int64) error {
	var approved bool
	err := db.sql.QueryRowContext(ctx, `select exists (select 1 from devices where id = $1 and state = 'approved')`,
		device).Scan(&approved)
	if err == nil && !approved {
		err = notApproved()
	}
	return fault("look whether a device is approved", err)
}

// BeginSession opens a session for the CVD of that name, which is made for the device where it does not exist.
// A CVD of another device is wire.ErrDenied; so is all for a device that is not approved.
func (db *DB) BeginSession(ctx context.Context, device int64, name string, lease time.Duration) (*Session, error) {
	s := &Session{Device: device, Name: name, Lease: lease}
	_, _ = rand.Read(s.Token[:]) // never fails
	_, _ = rand.Read(s.Secret[:])
	err := db.tx(ctx, "begin a session", func(tx *sql.Tx) error {
		if err := holdApproved(ctx, tx, device); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `insert into cvds (name, device_id) values ($1, $2) on conflict (name) do nothing`,
			name, device); err != nil {
			return err
		}
		if err := fewOpen(ctx, tx, device); err != nil {
			return err
		}
		var owner sql.NullInt64
		if err := tx.QueryRowContext(ctx, `select id, device_id from cvds where name = $1`, name).Scan(&s.CVD, &owner); err != nil {
			return err
		}
		if !owner.Valid || owner.Int64 != device {
			return notOwner(name, owner.Valid)
		}
		return tx.QueryRowContext(ctx, `
			insert into sessions (token, device_id, cvd_id, secret, began_seq, lease_until)
			select $1, $2, $3, $4, seq, clock_timestamp() + $5::bigint * interval '1 millisecond' from collector returning id`,
			s.Token[:], device, s.CVD, s.Secret[:], lease.Milliseconds()).Scan(&s.ID)
	})
	return s, err
}

// UseSession finds a device's open session and renews its lease. One that expired, or never was, is wire.ErrExpired;
// another device's, or that of a device that was revoked, is wire.ErrDenied. A session that was committed is returned together with wire.ErrExpired.
func (db *DB) UseSession(ctx context.Context, token Token, device int64, lease time.Duration) (*Session, error) {
	s := &Session{Token: token, Lease: lease}
	var owner sql.NullInt64
	var secret, snapshot []byte
	var state int
	var left float64
	var approved bool
	err := db.sql.QueryRowContext(ctx, `
		select s.id, s.device_id, s.cvd_id, c.name, c.device_id, s.secret, s.state, s.snapshot,
			extract(epoch from s.lease_until - clock_timestamp()), d.state = 'approved'
		from sessions s join cvds c on c.id = s.cvd_id join devices d on d.id = s.device_id where s.token = $1`, token[:]).
		Scan(&s.ID, &s.Device, &s.CVD, &s.Name, &owner, &secret, &state, &snapshot, &left, &approved)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fmt.Errorf("%w: there is no session %s: begin another", wire.ErrExpired, token)
	case err != nil:
		return nil, fault("find a session", err)
	case s.Device != device:
		return nil, fmt.Errorf("%w: session %s is another device's", wire.ErrDenied, token)
	case !owner.Valid:
		return nil, notOwner(s.Name, false)
	case !approved:
		return nil, notApproved()
	case owner.Int64 != device:
		return nil, fmt.Errorf("%w: the desktop %q is not this device's any more", wire.ErrDenied, s.Name)
	}
	copy(s.Secret[:], secret)
	copy(s.Committed[:], snapshot)
	if state != 0 || left <= 0 {
		return s, fmt.Errorf("%w: session %s has ended: begin another; what was acknowledged stays", wire.ErrExpired, token)
	}
	if left > 0.9*lease.Seconds() {
		return s, nil // renewed just now: not worth a write
	}
	return s, db.RenewSession(ctx, s)
}

// RenewSession renews the lease of a session that is open.
func (db *DB) RenewSession(ctx context.Context, s *Session) error {
	return db.tx(ctx, "renew a session", func(tx *sql.Tx) error { return renew(ctx, tx, s) })
}

// renew locks the session's row until tx ends: nothing that asks whether it is open comes between.
func renew(ctx context.Context, tx *sql.Tx, s *Session) error {
	n, err := affected(tx.ExecContext(ctx, `
		update sessions set lease_until = clock_timestamp() + $2::bigint * interval '1 millisecond'
		where id = $1 and state = 0 and lease_until > clock_timestamp()`, s.ID, s.Lease.Milliseconds()))
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: session %s has ended: begin another; what was acknowledged stays", wire.ErrExpired, s.Token)
	}
	return err
}

// AbandonSession closes a session without a snapshot.
func (db *DB) AbandonSession(ctx context.Context, s *Session) error {
	return db.tx(ctx, "abandon a session", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `update sessions set state = 2 where id = $1 and state = 0`, s.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from session_sets where session_id = $1`, s.ID)
		return err
	})
}

// CloseSessions closes the sessions whose lease ran out, and forgets those that ended a day ago.
func (db *DB) CloseSessions(ctx context.Context) (closed int64, err error) {
	err = db.tx(ctx, "close sessions", func(tx *sql.Tx) error {
		if closed, err = affected(tx.ExecContext(ctx,
			`update sessions set state = 3 where state = 0 and lease_until <= clock_timestamp()`)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			delete from session_sets t using sessions s where s.id = t.session_id and s.state <> 0`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			delete from sessions where state <> 0 and lease_until < clock_timestamp() - interval '1 day'`)
		return err
	})
	return closed, err
}

// SessionOpen says whether a session is open. An unknown one is not.
func (db *DB) SessionOpen(ctx context.Context, token Token) (open bool, err error) {
	err = db.sql.QueryRowContext(ctx, `select exists (select 1 from sessions where token = $1 and state = 0)`, token[:]).Scan(&open)
	return open, fault("look for a session", err)
}

// setsMax is how many sets of one session are kept beside each other before they are made one.
const setsMax = 64

// AddSet adds to what an open session holds. merge unites sets.
func (db *DB) AddSet(ctx context.Context, s *Session, set []byte) error {
	return db.tx(ctx, "note what a session holds", func(tx *sql.Tx) error {
		if err := renew(ctx, tx, s); err != nil {
			return err
		}
		return addSet(ctx, tx, s, set)
	})
}

func addSet(ctx context.Context, tx *sql.Tx, s *Session, set []byte) error {
	_, err := tx.ExecContext(ctx, `insert into session_sets (session_id, serials) values ($1, $2)`, s.ID, set)
	return err
}

// SessionSets are what a session holds, to be united.
func (db *DB) SessionSets(ctx context.Context, session int64) ([][]byte, error) {
	return rows(ctx, db, "read what a session holds", scanBytes, `select serials from session_sets where session_id = $1`, session)
}

// MergeSets puts one set in the place of many where a session has more than a few.
func (db *DB) MergeSets(ctx context.Context, s *Session, unite func([][]byte) ([]byte, error)) error {
	return db.tx(ctx, "unite what a session holds", func(tx *sql.Tx) error {
		if err := renew(ctx, tx, s); err != nil {
			return err
		}
		rs, err := tx.QueryContext(ctx, `delete from session_sets where session_id = $1 returning serials`, s.ID)
		if err != nil {
			return err
		}
		sets, err := collect(rs)
		if err != nil {
			return err
		}
		set, err := unite(sets)
		if err != nil {
			return err
		}
		return addSet(ctx, tx, s, set)
	})
}

// ManySets says that n sets are worth uniting.
func ManySets(n int) bool { return n > setsMax }

func collect(rs *sql.Rows) (all [][]byte, err error) {
	defer rs.Close()
	for rs.Next() {
		b, err := scanBytes(rs)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, rs.Err()
}

func scanBytes(rs *sql.Rows) (b []byte, err error) { return b, rs.Scan(&b) }

// DeviceSets are what the open sessions of a device hold.
func (db *DB) DeviceSets(ctx context.Context, device int64) ([][]byte, error) {
	return rows(ctx, db, "read what a device holds", scanBytes, `
		select t.serials from session_sets t join sessions s on s.id = t.session_id join devices d on d.id = s.device_id
		where s.device_id = $1 and d.state = 'approved' and s.state = 0 and s.lease_until > clock_timestamp()`, device)
}
