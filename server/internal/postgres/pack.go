package postgres

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/lib/pq"

	"github.com/looming-project/looming/server/internal/sis"
	"github.com/looming-project/looming/vfs/wire"
)

// Pack is where a pack lies.
type Pack struct {
	ID     int32
	Volume int32
	Name   sis.PackName
}

func scanPack(rs *sql.Rows) (p Pack, err error) {
	var name []byte
	err = rs.Scan(&p.ID, &p.Volume, &name)
	copy(p.Name[:], name)
	return p, err
}

// BeginPack notes a pack before its first byte is written, so that nothing of it can be forgotten. A volume that takes no
// packs any more, or is gone, is wire.ErrNotFound.
func (db *DB) BeginPack(ctx context.Context, session int64, volume int32, name sis.PackName) (Pack, error) {
	p := Pack{Volume: volume, Name: name}
	err := db.sql.QueryRowContext(ctx, `insert into packs (volume_id, name, session_id)
		select id, $2, $3::bigint from volumes where id = $1 and not drained for key share returning id`,
		volume, name[:], session).Scan(&p.ID)
	return p, fault("begin a pack", err)
}

// IndexPack makes a durable pack count: its chunks come into the index, and into what the session holds (pack's
// bytes and entries as sis sealed them). It returns each entry's serial. union makes the session's set from serials.
// A session that is not open any more is wire.ErrExpired, and nothing has changed.
func (db *DB) IndexPack(ctx context.Context, session *Session, p Pack, bytes int64, entries []sis.Entry,
	union func(serials []uint64) ([]byte, error),
) (serials []uint64, err error) {
	err = db.tx(ctx, "index a pack", func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `
			update packs set state = 1, session_id = null, chunks = $2, bytes = $3 where id = $1 and state = 0`,
			p.ID, len(entries), bytes))
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: its pack was swept away", wire.ErrExpired)
		}
		if serials, err = indexEntries(ctx, tx, p.ID, entries); err != nil {
			return err
		}
		if err := renew(ctx, tx, session); err != nil {
			return err
		}
		set, err := union(serials)
		if err != nil {
			return err
		}
		return addSet(ctx, tx, session, set)
	})
	return serials, err
}

func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// DoomPacks gives up the packs whose session closed before they were indexed, and lists all whose files may be removed.
func (db *DB) DoomPacks(ctx context.Context) ([]Pack, error) {
	_, err := db.exec(ctx, "sweep packs", `
		update packs p set state = 3 where state = 0
		and not exists (select 1 from sessions s where s.id = p.session_id and s.state = 0)`)
	if err != nil {
		return nil, err
	}
	return rows(ctx, db, "sweep packs", scanPack, `select id, volume_id, name from packs where state = 3`)
}

// DropPack takes back a pack that never was durable.
func (db *DB) DropPack(ctx context.Context, id int32) error {
	_, err := db.exec(ctx, "drop a pack", `delete from packs where id = $1 and state = 0`, id)
	return err
}

// ForgetPack removes the row of a doomed pack whose file is gone.
func (db *DB) ForgetPack(ctx context.Context, id int32) error {
	_, err := db.exec(ctx, "forget a pack", `delete from packs where id = $1 and state = 3`, id)
	return err
}

// Packs says where the packs of these ids lie; those that are not there are left out.
func (db *DB) Packs(ctx context.Context, ids []int32) ([]Pack, error) {
	return rows(ctx, db, "find packs", scanPack,
		`select id, volume_id, name from packs where id = any($1) and state in (1, 2)`, pq.Array(ids))
}

// PackSizes says how many chunks were written into each of these packs.
func (db *DB) PackSizes(ctx context.Context, ids []int32) (map[int32]int, error) {
	type size struct {
		id int32
		n  int
	}
	all, err := rows(ctx, db, "look at packs", func(rs *sql.Rows) (s size, err error) {
		return s, rs.Scan(&s.id, &s.n)
	}, `select id, chunks from packs where id = any($1)`, pq.Array(ids))
	m := make(map[int32]int, len(all))
	for _, s := range all {
		m[s.id] = s.n
	}
	return m, err
}

// PacksAfter lists at most n packs with larger ids than after that hold chunks, by id.
func (db *DB) PacksAfter(ctx context.Context, after int32, n int) ([]Pack, error) {
	return rows(ctx, db, "list packs", scanPack,
		`select id, volume_id, name from packs where id > $1 and state in (1, 2) order by id limit $2`, after, n)
}

// CondemnedPacks are those whose chunks do not count as present.
func (db *DB) CondemnedPacks(ctx context.Context) (map[int32]bool, error) {
	ids, err := rows(ctx, db, "list condemned packs", func(rs *sql.Rows) (id int32, err error) {
		return id, rs.Scan(&id)
	}, `select id from packs where state = 2`)
	set := make(map[int32]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set, err
}

// BeginRebuild makes way for an index that is made again: open sessions end, because what they hold is named by
// serials of the index that was lost, and so is what is known about files.
func (db *DB) BeginRebuild(ctx context.Context) error {
	return db.tx(ctx, "begin to rebuild the index", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `select seq from collector for update`); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `update sessions set state = 3 where state = 0`); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `delete from session_sets`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from files`)
		return err
	})
}

// AdoptPack enters a pack that was found on a volume, with the chunks that are whole in it, where the index lacks
// them. It is for rebuilding the index; it reports how many were entered.
func (db *DB) AdoptPack(ctx context.Context, volume int32, name sis.PackName, bytes int64, entries []sis.Entry) (added int, err error) {
	err = db.tx(ctx, "enter a pack", func(tx *sql.Tx) error {
		var id int32
		err := tx.QueryRowContext(ctx, `
			insert into packs (volume_id, name, state, chunks, bytes) values ($1, $2, 1, $3, $4)
			on conflict (name) do update set volume_id = excluded.volume_id, state = 1, session_id = null,
				chunks = excluded.chunks, bytes = excluded.bytes
			where packs.state in (1, 2) returning id`, volume, name[:], len(entries), bytes).Scan(&id)
		if err == sql.ErrNoRows {
			return nil // an upload under way, or one that was given up
		}
		if err != nil {
			return err
		}
		before, err := countOfPack(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := indexEntries(ctx, tx, id, entries); err != nil {
			return err
		}
		after, err := countOfPack(ctx, tx, id)
		added = after - before
		return err
	})
	return added, err
}

func countOfPack(ctx context.Context, tx *sql.Tx, id int32) (n int, err error) {
	return n, tx.QueryRowContext(ctx, `select count(*) from chunks where pack_id = $1`, id).Scan(&n)
}
