package postgres

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/looming-project/looming/server/internal/sis"
	"github.com/looming-project/looming/vfs/wire"
)

// VolumeRow is a volume as the database knows it.
type VolumeRow struct {
	ID   int32
	UUID sis.VolumeID
	URL  string
	// Drained volumes take no new packs.
	Drained bool
}

func scanVolume(rs *sql.Rows) (v VolumeRow, err error) {
	var uuid []byte
	err = rs.Scan(&v.ID, &uuid, &v.URL, &v.Drained)
	copy(v.UUID[:], uuid)
	return v, err
}

// Volumes lists all volumes in the order in which they were added.
func (db *DB) Volumes(ctx context.Context) ([]VolumeRow, error) {
	return rows(ctx, db, "list the volumes", scanVolume, `select id, uuid, url, drained from volumes order by id`)
}

// PutVolume adds a volume, or notes that it is found under another URL now.
func (db *DB) PutVolume(ctx context.Context, uuid sis.VolumeID, url string) (VolumeRow, error) {
	v := VolumeRow{UUID: uuid, URL: url}
	err := db.sql.QueryRowContext(ctx, `
		insert into volumes (uuid, url) values ($1, $2)
		on conflict (uuid) do update set url = excluded.url returning id, drained`, uuid[:], url).Scan(&v.ID, &v.Drained)
	return v, fault("add volume "+url, err)
}

// DrainVolume keeps new packs away from a volume, or lets them come again.
func (db *DB) DrainVolume(ctx context.Context, id int32, drained bool) error {
	n, err := db.exec(ctx, "drain a volume", `update volumes set drained = $2 where id = $1`, id, drained)
	if err == nil && n == 0 {
		err = fmt.Errorf("volume %d: %w", id, wire.ErrNotFound)
	}
	return err
}

// DeleteVolume forgets a volume that holds no pack; one that does is wire.ErrConflict. A pack that is begun meanwhile
// keeps it, by its foreign key.
func (db *DB) DeleteVolume(ctx context.Context, id int32) error {
	n, err := db.exec(ctx, "remove a volume",
		`delete from volumes v where id = $1 and not exists (select 1 from packs p where p.volume_id = v.id)`, id)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: it holds packs, or there is no such volume", wire.ErrConflict)
	}
	return err
}

// VolumeUse is how much of a volume packs take.
type VolumeUse struct {
	Packs, Bytes int64
}

// VolumeUses says for each volume what is on it.
func (db *DB) VolumeUses(ctx context.Context) (map[int32]VolumeUse, error) {
	type use struct {
		id int32
		VolumeUse
	}
	all, err := rows(ctx, db, "sum up the volumes", func(rs *sql.Rows) (u use, err error) {
		return u, rs.Scan(&u.id, &u.Packs, &u.Bytes)
	}, `select volume_id, count(*), coalesce(sum(bytes), 0)::bigint from packs where state in (1, 2) group by volume_id`)
	uses := make(map[int32]VolumeUse, len(all))
	for _, u := range all {
		uses[u.id] = u.VolumeUse
	}
	return uses, err
}
