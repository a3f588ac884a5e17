package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/looming-project/looming/vfs/wire"
)

// Fingerprint is the SHA-256 of a public key, as SubjectPublicKeyInfo.
type Fingerprint [32]byte

// DeviceState says how far a device is trusted.
type DeviceState string

// The states of a device.
const (
	Pending  DeviceState = "pending"
	Approved DeviceState = "approved"
	Revoked  DeviceState = "revoked"
)

// Device is an endpoint that asked in.
type Device struct {
	ID          int64
	Name        string
	Host, OS    string
	Fingerprint Fingerprint
	State       DeviceState
	Created     time.Time
	ApprovedAt  time.Time // zero until then
	ApprovedBy  string
	LastSeen    time.Time // zero: never
	Address     string
}

const deviceColumns = `d.id, d.name, d.host, d.os, d.fingerprint, d.state, d.created, d.approved_at,
	coalesce(d.approved_by, ''), d.last_seen, d.address`

type scanner interface{ Scan(...any) error }

// into lists where the columns go.
func (d *Device) into() []any {
	return []any{
		&d.ID, &d.Name, &d.Host, &d.OS,
		array{d.Fingerprint[:]},
		&d.State, &d.Created,
		when{&d.ApprovedAt},
		&d.ApprovedBy,
		when{&d.LastSeen},
		&d.Address,
	}
}

func scanDevice(s scanner) (d Device, err error) {
	err = s.Scan(d.into()...)
	return d, err
}

// array scans a bytea of a fixed length.
type array struct{ to []byte }

// Scan implements sql.Scanner.
func (a array) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(a.to) {
		return fmt.Errorf("want %d bytes", len(a.to))
	}
	copy(a.to, b)
	return nil
}

// when scans a time; null is the zero time.
type when struct{ to *time.Time }

// Scan implements sql.Scanner.
func (w when) Scan(v any) error {
	t, ok := v.(time.Time)
	if !ok && v != nil {
		return fmt.Errorf("want a time")
	}
	*w.to = t
	return nil
}

// Device finds one by its name.
func (db *DB) Device(ctx context.Context, name string) (Device, error) {
	d, err := scanDevice(db.sql.QueryRowContext(ctx, `select `+deviceColumns+` from devices d where d.name = $1`, name))
	if err != nil {
		return d, fault(fmt.Sprintf("device %q", name), err)
	}
	return d, nil
}

// Devices lists all, by name; with a state other than "", those in it.
func (db *DB) Devices(ctx context.Context, state DeviceState) ([]Device, error) {
	return rows(ctx, db, "list devices", func(rs *sql.Rows) (Device, error) { return scanDevice(rs) },
		`select `+deviceColumns+` from devices d where $1 = '' or d.state = $1 order by d.name`, string(state))
}

// ApproveDevice lets a waiting device in. It is done already for one that is approved, and a conflict for one that
// was revoked: that one must be removed and ask again.
func (db *DB) ApproveDevice(ctx context.Context, name, by string) (Device, error) {
	return db.setState(ctx, "approve", name, Approved, `state = 'approved', approved_at = now(), approved_by = $2`, by)
}

// RevokeDevice shuts a device out for good, and abandons its uploads.
func (db *DB) RevokeDevice(ctx context.Context, name string) (Device, error) {
	return db.setState(ctx, "revoke", name, Revoked, `state = 'revoked'`)
}

func (db *DB) setState(ctx context.Context, verb, name string, to DeviceState, set string, args ...any) (d Device, err error) {
	op := fmt.Sprintf("%s device %q", verb, name)
	err = db.tx(ctx, op, func(tx *sql.Tx) error {
		d, err = scanDevice(tx.QueryRowContext(ctx, `select `+deviceColumns+` from devices d where d.name = $1 for update`, name))
		if err != nil || d.State == to {
			return err
		}
		if d.State == Revoked {
			return fmt.Errorf("%w: it was revoked: remove it, and let it ask again", wire.ErrConflict)
		}
		d, err = scanDevice(tx.QueryRowContext(ctx, `update devices d set `+set+` where d.name = $1 returning `+deviceColumns,
			append([]any{name}, args...)...))
		if err != nil {
			return err
		}
		if to == Revoked {
			if _, err := tx.ExecContext(ctx, `update sessions set state = 2 where device_id = $1 and state = 0`, d.ID); err != nil {
				return err
			}
		}
		return notifyDevice(ctx, tx, d.ID)
	})
	return d, err
}

// RemoveDevice forgets a device. Its desktops stay and belong to nobody until an admin gives them to another (Own).
func (db *DB) RemoveDevice(ctx context.Context, name string) error {
	return db.tx(ctx, fmt.Sprintf("remove device %q", name), func(tx *sql.Tx) error {
		var id int64
		if err := tx.QueryRowContext(ctx, `select id from devices where name = $1 for update`, name).Scan(&id); err != nil {
			return err
		}
		if err := leaveTallies(ctx, tx, id, 0); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `delete from tallies where device_id = $1`, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `delete from devices where id = $1`, id); err != nil {
			return err
		}
		return notifyDevice(ctx, tx, id)
	})
}

func notifyDevice(ctx context.Context, tx *sql.Tx, id int64) error {
	_, err := tx.ExecContext(ctx, `select pg_notify($1, $2::text)`, DeviceChanged, id)
	return err
}

// SawDevice notes that a device was there.
func (db *DB) SawDevice(ctx context.Context, id int64, address string) error {
	_, err := db.exec(ctx, "note a device", `update devices set last_seen = now(), address = $2 where id = $1`, id, address)
	return err
}

// Certificate is one that was issued.
type Certificate struct {
	Serial      []byte
	Fingerprint Fingerprint
	PEM         string
	NotAfter    time.Time
	// Shown is the key that asked for it, zero if that is its own.
	Shown Fingerprint
}

// The bounds of renewing: certificates a day, and how long those of a key that was replaced stay good.
const (
	certificatesADay = 10
	oldKeyStays      = 24 * time.Hour
)

// DeviceOf finds whose certificate a serial number is, if that has not ended.
func (db *DB) DeviceOf(ctx context.Context, serial []byte) (Device, error) {
	d, err := scanDevice(db.sql.QueryRowContext(ctx, `select `+deviceColumns+` from certificates c join devices d on d.id = c.device_id
		where c.serial = $1 and c.not_after > now()`, serial))
	return d, fault("find the device of a certificate", err)
}

// AddCertificate keeps a new certificate of a device that is still approved, and drops those long expired. A new key
// becomes the device's: the certificates of others end soon, and only the device's own key may ask for one.
func (db *DB) AddCertificate(ctx context.Context, id int64, c Certificate) error {
	return db.tx(ctx, "keep a certificate", func(tx *sql.Tx) error {
		d, err := scanDevice(tx.QueryRowContext(ctx, `select `+deviceColumns+` from devices d where d.id = $1 for update`, id))
		if err != nil {
			return err
		}
		if d.State != Approved {
			return fmt.Errorf("%w: the device is %s", wire.ErrDenied, d.State)
		}
		if err := c.allowed(ctx, tx, &d); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `delete from certificates where device_id = $1 and not_after < now() - interval '1 day'`, id); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `insert into certificates (serial, device_id, fingerprint, pem, not_after) values ($1, $2, $3, $4, $5)`,
			c.Serial, id, c.Fingerprint[:], c.PEM, c.NotAfter)
		if err != nil || d.Fingerprint == c.Fingerprint {
			return err
		}
		return c.replaceKey(ctx, tx, id)
	})
}

// allowed says whether a device may have another certificate.
func (c *Certificate) allowed(ctx context.Context, tx *sql.Tx, d *Device) error {
	if d.Fingerprint != c.Fingerprint && d.Fingerprint != c.Shown {
		return fmt.Errorf("%w: the device %q has another key by now: only that one renews its certificate", wire.ErrDenied, d.Name)
	}
	var today int
	err := tx.QueryRowContext(ctx, `select count(*) from certificates where device_id = $1 and created > now() - interval '1 day'`, d.ID).Scan(&today)
	if err == nil && today >= certificatesADay {
		return fmt.Errorf("%w: the device %q got %d certificates within a day: renew it tomorrow", wire.ErrDenied, d.Name, today)
	}
	return err
}

func (c *Certificate) replaceKey(ctx context.Context, tx *sql.Tx, id int64) error {
	_, err := tx.ExecContext(ctx, `update devices set fingerprint = $2 where id = $1`, id, c.Fingerprint[:])
	if isUnique(err) {
		return fmt.Errorf("%w: another device has this key", wire.ErrConflict)
	}
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `update certificates set not_after = least(not_after, now() + make_interval(secs => $3))
		where device_id = $1 and fingerprint <> $2`, id, c.Fingerprint[:], oldKeyStays.Seconds())
	if err != nil {
		return err
	}
	return notifyDevice(ctx, tx, id)
}

// LatestCertificate is the one of a device, with this key, that lives longest.
func (db *DB) LatestCertificate(ctx context.Context, id int64, key Fingerprint) (c Certificate, err error) {
	err = db.sql.QueryRowContext(ctx, `select serial, fingerprint, pem, not_after from certificates
		where device_id = $1 and fingerprint = $2 order by not_after desc limit 1`, id, key[:]).
		Scan(&c.Serial, array{c.Fingerprint[:]}, &c.PEM, &c.NotAfter)
	return c, fault("find a certificate", err)
}

// isUnique says whether an insert hit a name or key that is taken.
func isUnique(err error) bool { return pq.As(err, "23505") != nil }
