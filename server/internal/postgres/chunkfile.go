package postgres

import (
	"context"
	"database/sql"

	"github.com/lib/pq"

	"github.com/looming-project/looming/vfs/chunk"
)

// File is what is known about a file above chunk.WholeMax.
type File struct {
	ID chunk.ID
	// CVD is whose commit said so.
	CVD int64
	// Content is size and content as cvd.EncodeContent writes them, Serials the set of its chunks.
	Content, Serials []byte
}

// idArray binds ids as an array of bytea.
func idArray(ids []chunk.ID) pq.ByteaArray {
	a := make(pq.ByteaArray, len(ids))
	for i := range ids {
		a[i] = ids[i][:]
	}
	return a
}

// Files finds files; those that are unknown are left out.
func (db *DB) Files(ctx context.Context, ids []chunk.ID) (map[chunk.ID]File, error) {
	all, err := rows(ctx, db, "look up files", func(rs *sql.Rows) (f File, err error) {
		var id []byte
		err = rs.Scan(&id, &f.CVD, &f.Content, &f.Serials)
		copy(f.ID[:], id)
		return f, err
	}, `select id, cvd_id, content, serials from files where id = any($1)`, idArray(ids))
	m := make(map[chunk.ID]File, len(all))
	for _, f := range all {
		m[f.ID] = f
	}
	return m, err
}

// PutFiles enters what a tree of a CVD says about its files, each once. What another CVD said stays, unless it is
// different: then one of the two is wrong or cut by other rules, and each believes its own.
func (db *DB) PutFiles(ctx context.Context, cvd int64, fs []File) error {
	ids, contents, serials := make(pq.ByteaArray, len(fs)), make(pq.ByteaArray, len(fs)), make(pq.ByteaArray, len(fs))
	for i := range fs {
		ids[i], contents[i], serials[i] = fs[i].ID[:], fs[i].Content, fs[i].Serials
	}
	return db.tx(ctx, "enter files", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			insert into files as f (id, cvd_id, content, serials)
			select u.id, $1::bigint, u.content, u.serials
			from unnest($2::bytea[], $3::bytea[], $4::bytea[]) as u (id, content, serials)
			where not exists (select 1 from files k join cvds c on c.id = k.cvd_id
				where k.id = u.id and k.content = u.content and k.serials = u.serials)
			order by u.id
			on conflict (id) do update set cvd_id = excluded.cvd_id, content = excluded.content, serials = excluded.serials`,
			cvd, ids, contents, serials)
		return err
	})
}
