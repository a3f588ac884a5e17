package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// Progress is what a device last said about a piece of its work.
type Progress struct {
	Device  string
	Updated time.Time
	Age     time.Duration // by the database's clock
	wire.Progress
}

// progressMax is how many pieces of work a device may tell of: what it said longest ago goes.
const progressMax = 8

// SetProgress keeps what a device says. The key is its kind and target, so that a device may stream two desktops; the
// target may have any length, so the key has its hash.
func (db *DB) SetProgress(ctx context.Context, device int64, p *wire.Progress) error {
	doc, err := json.Marshal(p)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(p.Target))
	_, err = db.exec(ctx, "keep progress", `with kept as (
			insert into progress (device_id, kind, target, doc) values ($1, $2, $3, $4)
			on conflict (device_id, kind, target) do update set doc = excluded.doc, updated = now()
		), gone as (
			delete from progress where device_id = $1 and (kind, target) in (
				select kind, target from progress where device_id = $1 and (kind, target) <> ($2, $3)
				order by updated desc offset $6)
		) select pg_notify($5, $1::text)`,
		device, p.Kind, hex.EncodeToString(sum[:]), string(doc), ProgressChanged, progressMax-1)
	return err
}

// Progresses lists what was said within an age, at most limit, the freshest first.
func (db *DB) Progresses(ctx context.Context, age time.Duration, limit int) ([]Progress, error) {
	return rows(ctx, db, "read progress", func(rs *sql.Rows) (p Progress, err error) {
		var doc []byte
		var seconds float64
		if err := rs.Scan(&p.Device, &p.Updated, &seconds, &doc); err != nil {
			return p, err
		}
		p.Age = time.Duration(seconds * float64(time.Second))
		return p, json.Unmarshal(doc, &p.Progress)
	}, `select d.name, p.updated, extract(epoch from now() - p.updated)::float8, p.doc
		from progress p join devices d on d.id = p.device_id
		where p.updated > now() - make_interval(secs => $1) order by p.updated desc limit $2`, age.Seconds(), limit)
}

// PruneProgress forgets what is older than an age.
func (db *DB) PruneProgress(ctx context.Context, age time.Duration) error {
	_, err := db.exec(ctx, "prune progress", `delete from progress where updated < now() - make_interval(secs => $1)`, age.Seconds())
	return err
}
