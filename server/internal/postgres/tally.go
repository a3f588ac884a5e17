package postgres

import (
	"context"
	"database/sql"
	"fmt"
)

// Tally is what one device learnt about the use of a desktop.
type Tally struct {
	Device  int64 // 0: of one that owned the desktop before
	Own     bool  // of the desktop's owner, or of one that was
	Encoded []byte
}

// Bounds of what is merged for one answer, the latest of each.
const (
	talliesMax = 16
	popularMax = 64
)

func scanTally(rs *sql.Rows) (t Tally, err error) { return t, rs.Scan(&t.Device, &t.Own, &t.Encoded) }

// EachTally hands out, one by one, the latest of a desktop that a device may read: the owner's first, then those of others
// that still may read it.
func (db *DB) EachTally(ctx context.Context, device int64, name string, take func(Tally)) error {
	c, err := db.CVDFor(ctx, device, name)
	if err != nil {
		return err
	}
	return each(ctx, db, fmt.Sprintf("tally of desktop %q", name), scanTally, take, `
		select coalesce(t.device_id, 0), t.device_id is null or t.device_id = c.device_id as own, t.tally
		from tallies t join cvds c on c.id = t.cvd_id left join devices d on d.id = t.device_id
		where c.id = $1 and (t.device_id is null or d.state = 'approved' and (t.device_id = c.device_id
			or exists (select from assignments a where a.cvd_id = c.id and a.device_id = t.device_id)))
		order by own desc, t.updated desc limit $2`, c.ID, talliesMax)
}

// EachOwnTally hands out, one by one, the latest that approved devices learnt about desktops of their own, of each device
// one.
func (db *DB) EachOwnTally(ctx context.Context, take func(Tally)) error {
	return each(ctx, db, "the latest tallies", scanTally, take, `
		select device_id, true, tally from (
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

// leaveTallies keeps what an owner learnt with its desktops, when those are another's or nobody's from now on: whoever has one
// next learns from it. Zero is all desktops of the owner.
func leaveTallies(ctx context.Context, tx *sql.Tx, owner, desktop int64) error {
	_, err := tx.ExecContext(ctx, `update tallies t set device_id = null from cvds c
		where c.id = t.cvd_id and c.device_id = $1 and t.device_id = $1 and ($2 = 0 or c.id = $2)`, owner, desktop)
	return err
}
