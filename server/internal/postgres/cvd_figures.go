package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/lib/pq"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// SnapshotCost is what figures are worked out from.
type SnapshotCost struct {
	Seq   int64
	CVD   int64
	ID    cvd.SnapshotID
	Bytes int64
}

// SnapshotCosts lists all snapshots in the order in which they were committed.
func (db *DB) SnapshotCosts(ctx context.Context) ([]SnapshotCost, error) {
	return rows(ctx, db, "list snapshots", func(rs *sql.Rows) (c SnapshotCost, err error) {
		return c, rs.Scan(&c.Seq, &c.CVD, array{c.ID[:]}, &c.Bytes)
	}, `select seq, cvd_id, id, bytes from snapshots order by seq`)
}

// EachChunk calls fn with the serial and the sizes of every chunk, in no order.
func (db *DB) EachChunk(ctx context.Context, fn func(serial uint64, frame, plain int64)) error {
	rs, err := db.sql.QueryContext(ctx, `
		select serial, frame_len, case when plain_len < 0 then ~plain_len else plain_len end from chunks`)
	if err != nil {
		return fault("read the sizes of chunks", err)
	}
	defer rs.Close()
	for rs.Next() {
		var serial, frame, plain int64
		if err := rs.Scan(&serial, &frame, &plain); err != nil {
			return fault("read the sizes of chunks", err)
		}
		fn(uint64(serial), frame, plain)
	}
	return fault("read the sizes of chunks", rs.Err())
}

// Figures are what desktops and snapshots cost.
type Figures struct {
	Desktops map[int64]*DesktopFigures // by CVD
	Added    map[cvd.SnapshotID]int64
	Sums     Sums
}

// DesktopFigures is one desktop.
type DesktopFigures struct{ Logical, AllLogical, Stored, Exclusive int64 }

// Sums are over all that snapshots reach.
type Sums struct {
	Logical int64 `json:"logical"` // every snapshot as files
	Plain   int64 `json:"plain"`   // every chunk once
	Stored  int64 `json:"stored"`  // as frames
}

// figuresLock is the advisory lock of whoever works figures out.
const figuresLock = 0x6c6f6f6d66696773

// WithFigures works figures out and keeps them; false if another server does so now.
func (db *DB) WithFigures(ctx context.Context, work func(ctx context.Context) (*Figures, error)) (mine bool, err error) {
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return false, fault("work out figures", err)
	}
	defer conn.Close()
	if err := conn.QueryRowContext(ctx, `select pg_try_advisory_lock($1)`, figuresLock).Scan(&mine); err != nil || !mine {
		return false, fault("work out figures", err)
	}
	defer func() {
		_, unlock := conn.ExecContext(context.WithoutCancel(ctx), `select pg_advisory_unlock($1)`, figuresLock)
		err = errors.Join(err, fault("work out figures", unlock))
	}()
	f, err := work(ctx)
	if err != nil {
		return true, err
	}
	return true, db.putFigures(ctx, f)
}

func (db *DB) putFigures(ctx context.Context, f *Figures) error {
	var cvds, logical, all, stored, exclusive, added []int64
	for id, d := range f.Desktops {
		cvds, logical, all = append(cvds, id), append(logical, d.Logical), append(all, d.AllLogical)
		stored, exclusive = append(stored, d.Stored), append(exclusive, d.Exclusive)
	}
	ids := pq.ByteaArray{}
	for id, n := range f.Added {
		ids, added = append(ids, id[:]), append(added, n)
	}
	sums, err := json.Marshal(f.Sums)
	if err != nil {
		return err
	}
	return db.tx(ctx, "keep figures", func(tx *sql.Tx) error {
		for _, q := range []struct {
			query string
			args  []any
		}{
			// What was removed meanwhile is left out by the joins.
			{
				`insert into desktop_figures (cvd_id, logical, all_logical, stored, exclusive)
				select u.* from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) u (id, a, b, c, d) join cvds on cvds.id = u.id
				on conflict (cvd_id) do update set logical = excluded.logical, all_logical = excluded.all_logical,
				stored = excluded.stored, exclusive = excluded.exclusive, updated = now()`,
				[]any{pq.Array(cvds), pq.Array(logical), pq.Array(all), pq.Array(stored), pq.Array(exclusive)},
			},
			{
				`insert into snapshot_figures (id, added)
				select u.* from unnest($1::bytea[], $2::bigint[]) u (id, added) join snapshots s on s.id = u.id
				on conflict (id) do update set added = excluded.added where snapshot_figures.added <> excluded.added`,
				[]any{ids, pq.Array(added)},
			},
			{`insert into settings (name, value) values ('sums', $1) on conflict (name) do update set value = excluded.value`, []any{string(sums)}},
		} {
			if _, err := tx.ExecContext(ctx, q.query, q.args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Counts are how many there are, and sums as they were last worked out.
type Counts struct {
	Devices, Online, Pending, Desktops, Snapshots int64
	Sums
}

// Counts counts.
func (db *DB) Counts(ctx context.Context) (c Counts, err error) {
	var sums []byte
	err = db.sql.QueryRowContext(ctx, `select
			(select count(*) from devices), (select count(*) from devices d where `+online+`),
			(select count(*) from devices where state = 'pending'), (select count(*) from cvds),
			(select count(*) from snapshots), (select value from settings where name = 'sums')`).
		Scan(&c.Devices, &c.Online, &c.Pending, &c.Desktops, &c.Snapshots, &sums)
	if err != nil {
		return c, fault("count", err)
	}
	if len(sums) > 0 {
		if err := json.Unmarshal(sums, &c.Sums); err != nil {
			return c, wire.ErrInternal
		}
	}
	return c, nil
}
