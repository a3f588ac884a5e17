package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// Limit is how many bytes a second a device, those of a subnet, or all devices may have at some time.
type Limit struct {
	ID       int64
	DeviceID int64  // 0: not of one device
	Device   string // its name
	Subnet   netip.Prefix
	// Days has a bit for each day of the week on which it begins, the lowest for Sunday; Begins and Ends are the time of
	// the day in UTC. Where Ends is not after Begins, it is on the next day.
	Days         uint8
	Begins, Ends time.Duration
	// Download and Upload are for all bulk transfers of a device together; 0 is no limit.
	Download, Upload int64
	// Demand says that Download holds for what somebody waits for, too.
	Demand bool
}

// limitQuery has the columns of a Limit in the order of scanLimit.
const limitQuery = `select l.id, coalesce(l.device_id, 0), coalesce(d.name, ''), coalesce(l.subnet::text, ''), l.days, l.begins, l.ends,
	l.download, l.upload, l.demand from limits l left join devices d on d.id = l.device_id `

func scanLimit(s scanner) (l Limit, err error) {
	var subnet string
	var begins, ends int64
	if err := s.Scan(&l.ID, &l.DeviceID, &l.Device, &subnet, &l.Days, &begins, &ends, &l.Download, &l.Upload, &l.Demand); err != nil {
		return l, err
	}
	l.Begins, l.Ends = time.Duration(begins)*time.Minute, time.Duration(ends)*time.Minute
	if subnet != "" {
		l.Subnet, err = netip.ParsePrefix(subnet)
	}
	return l, err
}

// Limits lists all limits, those of everybody first.
func (db *DB) Limits(ctx context.Context) ([]Limit, error) {
	return rows(ctx, db, "list limits", func(rs *sql.Rows) (Limit, error) { return scanLimit(rs) },
		limitQuery+`order by l.device_id is not null, l.subnet is not null, d.name, l.subnet, l.id`)
}

// SetLimit adds a limit, or replaces the one for the same device or subnet at the same time. Device is found by its name.
func (db *DB) SetLimit(ctx context.Context, l Limit) (set Limit, err error) {
	subnet := sql.NullString{Valid: l.Subnet.IsValid()}
	if subnet.Valid {
		subnet.String = l.Subnet.Masked().String()
	}
	err = db.tx(ctx, "set a limit", func(tx *sql.Tx) error {
		device := sql.NullInt64{Valid: l.Device != ""}
		if device.Valid {
			if err := tx.QueryRowContext(ctx, `select id from devices where name = $1`, l.Device).Scan(&device.Int64); err != nil {
				return fault(fmt.Sprintf("device %q", l.Device), err)
			}
		}
		var id int64
		if err := tx.QueryRowContext(ctx, `insert into limits (device_id, subnet, days, begins, ends, download, upload, demand)
			values ($1, $2::cidr, $3, $4, $5, $6, $7, $8)
			on conflict (device_id, subnet, days, begins, ends)
			do update set download = excluded.download, upload = excluded.upload, demand = excluded.demand returning id`,
			device, subnet, l.Days, l.Begins.Minutes(), l.Ends.Minutes(), l.Download, l.Upload, l.Demand).Scan(&id); err != nil {
			return err
		}
		set, err = scanLimit(tx.QueryRowContext(ctx, limitQuery+`where l.id = $1`, id))
		return err
	})
	return set, err
}

// RemoveLimit removes a limit.
func (db *DB) RemoveLimit(ctx context.Context, id int64) error {
	n, err := db.exec(ctx, "remove a limit", `delete from limits where id = $1`, id)
	if err == nil && n == 0 {
		return fmt.Errorf("limit %d: %w", id, wire.ErrNotFound)
	}
	return err
}
