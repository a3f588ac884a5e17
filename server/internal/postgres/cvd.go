package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// CVD is a desktop with what its rows tell.
type CVD struct {
	ID        int64
	Name      string
	Owner     string // device; empty where that was removed
	Created   time.Time
	Snapshots int
	Latest    cvd.SnapshotID // zero: none
	LatestAt  time.Time
}

const cvdQuery = `select c.id, c.name, coalesce(d.name, ''), c.created, coalesce(s.n, 0), l.id, l.committed
	from cvds c
	left join devices d on d.id = c.device_id
	left join lateral (select count(*) n from snapshots where cvd_id = c.id) s on true
	left join lateral (select id, committed from snapshots where cvd_id = c.id order by seq desc limit 1) l on true `

func scanCVD(s scanner) (c CVD, err error) {
	var latest []byte
	err = s.Scan(&c.ID, &c.Name, &c.Owner, &c.Created, &c.Snapshots, &latest, when{&c.LatestAt})
	copy(c.Latest[:], latest)
	return c, err
}

// Wire is the CVD as devices and admins see it.
func (c *CVD) Wire() wire.CVD {
	return wire.CVD{Name: c.Name, Device: c.Owner, Created: c.Created, Snapshots: c.Snapshots, Latest: c.Latest}
}

// CVDs lists all desktops by name.
func (db *DB) CVDs(ctx context.Context) ([]CVD, error) {
	return rows(ctx, db, "list desktops", func(rs *sql.Rows) (CVD, error) { return scanCVD(rs) }, cvdQuery+`order by c.name`)
}

// CVD finds a desktop by name.
func (db *DB) CVD(ctx context.Context, name string) (CVD, error) {
	c, err := scanCVD(db.sql.QueryRowContext(ctx, cvdQuery+`where c.name = $1`, name))
	return c, fault(fmt.Sprintf("desktop %q", name), err)
}

// mayRead is the one condition under which a device sees a desktop: its own, or assigned.
const mayRead = `(c.device_id = $1 or exists (select from assignments a where a.cvd_id = c.id and a.device_id = $1)) `

// CVDsOf lists the desktops that a device owns or is assigned.
func (db *DB) CVDsOf(ctx context.Context, device int64) ([]CVD, error) {
	return rows(ctx, db, "list desktops", func(rs *sql.Rows) (CVD, error) { return scanCVD(rs) },
		cvdQuery+`where `+mayRead+`order by c.name`, device)
}

// ErrNotYours is the cause where a desktop is not found because the device may not read it. The device is not told.
var ErrNotYours = errors.New("it is another device's, and not assigned to this one")

// CVDFor finds a desktop that a device may read. One that it may not is not found, for a reason that the log may have.
func (db *DB) CVDFor(ctx context.Context, device int64, name string) (CVD, error) {
	c, err := scanCVD(db.sql.QueryRowContext(ctx, cvdQuery+`where `+mayRead+`and c.name = $2`, device, name))
	if errors.Is(err, sql.ErrNoRows) {
		err = db.hidden(ctx, name, err)
	}
	return c, fault(fmt.Sprintf("desktop %q", name), err)
}

// hidden is the reason why a desktop was not found.
func (db *DB) hidden(ctx context.Context, name string, none error) error {
	var there bool
	if err := db.sql.QueryRowContext(ctx, `select exists (select from cvds where name = $1)`, name).Scan(&there); err != nil {
		return err
	}
	if there {
		return fmt.Errorf("%w: %w", ErrNotYours, none)
	}
	return none
}

// Assign lets a device read a desktop that is not its own.
func (db *DB) Assign(ctx context.Context, name, device, by string) error {
	return db.assignment(ctx, "assign", name, device, `insert into assignments (cvd_id, device_id, creator)
		values ($1, $2, $3) on conflict do nothing`, by)
}

// Unassign takes that back.
func (db *DB) Unassign(ctx context.Context, name, device string) error {
	return db.assignment(ctx, "unassign", name, device, `delete from assignments where cvd_id = $1 and device_id = $2`)
}

func (db *DB) assignment(ctx context.Context, verb, name, device, change string, args ...any) error {
	return db.tx(ctx, fmt.Sprintf("%s desktop %q", verb, name), func(tx *sql.Tx) error {
		var c int64
		var d int64
		if err := tx.QueryRowContext(ctx, `select id from cvds where name = $1`, name).Scan(&c); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `select id from devices where name = $1`, device).Scan(&d); err != nil {
			return fault(fmt.Sprintf("device %q", device), err)
		}
		if _, err := tx.ExecContext(ctx, change, append([]any{c, d}, args...)...); err != nil {
			return err
		}
		if err := notifyDevice(ctx, tx, d); err != nil {
			return err
		}
		return notifyDesktop(ctx, tx, c)
	})
}

// Own gives a desktop to an approved device, which alone may write it from now on. Uploads of others to it end.
func (db *DB) Own(ctx context.Context, name, device string) error {
	return db.tx(ctx, fmt.Sprintf("give away desktop %q", name), func(tx *sql.Tx) error {
		d, err := scanDevice(tx.QueryRowContext(ctx, `select `+deviceColumns+` from devices d where d.name = $1 for share`, device))
		if err != nil {
			return fault(fmt.Sprintf("device %q", device), err)
		}
		if d.State != Approved {
			return fmt.Errorf("device %q: %w: it is %s: only one that is approved can own a desktop", device, wire.ErrConflict, d.State)
		}
		var c int64
		var before sql.NullInt64
		if err := tx.QueryRowContext(ctx, `select id, device_id from cvds where name = $1 for update`, name).Scan(&c, &before); err != nil {
			return err
		}
		if before.Valid && before.Int64 != d.ID {
			if err := leaveTallies(ctx, tx, before.Int64, c); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `update cvds set device_id = $2 where id = $1`, c, d.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `update sessions set state = 2 where cvd_id = $1 and device_id <> $2 and state = 0`, c, d.ID); err != nil {
			return err
		}
		if before.Valid {
			if err := notifyDevice(ctx, tx, before.Int64); err != nil {
				return err
			}
		}
		if err := notifyDevice(ctx, tx, d.ID); err != nil {
			return err
		}
		return notifyDesktop(ctx, tx, c)
	})
}

// notOwner says why a device may not write a desktop, and what to do.
func notOwner(name string, owned bool) error {
	if !owned {
		return fmt.Errorf("%w: the desktop %q has no owner: ask an admin to run loomctl cvd own %s DEVICE", wire.ErrDenied, name, name)
	}
	return fmt.Errorf("%w: the desktop %q belongs to another device: take another name, or ask an admin", wire.ErrDenied, name)
}

func notifyDesktop(ctx context.Context, tx *sql.Tx, id int64) error {
	_, err := tx.ExecContext(ctx, `select pg_notify($1, $2::text)`, DesktopChanged, id)
	return err
}

// Assigned lists the devices that a desktop is assigned to.
func (db *DB) Assigned(ctx context.Context, id int64) ([]string, error) {
	return rows(ctx, db, "list assignments", func(rs *sql.Rows) (name string, err error) { return name, rs.Scan(&name) },
		`select d.name from assignments a join devices d on d.id = a.device_id where a.cvd_id = $1 order by 1`, id)
}
