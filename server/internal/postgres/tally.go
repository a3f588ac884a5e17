package postgres

import (
	"context"
	"database/sql"
	"fmt"
)

// Tally is what one device learnt about the use of a desktop.
type Tally struct {
	Device  int64 // 0 where the device was removed
	Encoded []byte
}

// Bounds of what is merged for one answer, the latest of each.
const (
	talliesMax = 16
	popularMax = 64
)

func scanTally(rs *sql.Rows) (t Tally, err error) { return t, rs.Scan(&t.Device, &t.Encoded) }

// EachTally hands out the latest of a desktop that a device may read, one by one.
func (db *DB) EachTally(ctx context.Context, device int64, name string, take func(Tally)) error {
	c, err := db.CVDFor(ctx, device, name)
	if err != nil {
		return err
	}
	return each(ctx, db, fmt.Sprintf("tally of desktop %q", name), scanTally, take, `
		select coalesce(device_id, 0), tally from tallies where cvd_id = $1 order by updated desc limit $2`, c.ID, talliesMax)
}

// EachOwnTally hands out, one by one, the latest that approved devices learnt about desktops of their own, of each device
// one.
func (db *DB) EachOwnTally(ctx context.Context, take func(Tally)) error {
	return each(ctx, db, "the latest tallies", scanTally, take, `
		select device_id, tally from (
			select distinct on (t.device_id) t.device_id, t.tally, t.updated from tallies t
			join cvds c on c.id = t.cvd_id and c.device_id = t.device_id
			join devices d on d.id = t.device_id and d.state = 'approved'
			order by t.device_id, t.updated desc
		) own order by updated desc limit $1`, popularMax)
}

// AddTally puts add(what there is) in the place of what a device has learnt about a desktop that it may read; nothing
// that is added at the same time is lost. What there is is empty at first.
func (db *DB) AddTally(ctx context.Context, device int64, name string, add func(had []byte) []byte) error {
	c, err := db.CVDFor(ctx, device, name)
	if err != nil {
		return err
	}
	return db.tx(ctx, fmt.Sprintf("tally of desktop %q", name), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into tallies (cvd_id, device_id, tally) values ($1, $2, '') on conflict do nothing`, c.ID, device)
		if err != nil {
			return err
		}
		var had []byte
		err = tx.QueryRowContext(ctx, `select tally from tallies where cvd_id = $1 and device_id = $2 for update`, c.ID, device).Scan(&had)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			update tallies set tally = $3, updated = clock_timestamp() where cvd_id = $1 and device_id = $2`, c.ID, device, add(had))
		return err
	})
}
