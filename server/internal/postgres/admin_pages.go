package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// PageQuery asks for a part of a table.
type PageQuery struct {
	Search string // anywhere in the texts shown, in any case; empty: everything
	State  DeviceState
	Sort   string
	Desc   bool
	Offset int
	Limit  int
}

// Online is how lately a device must have been there to count as online.
const Online = 90 * time.Second

// online is that in SQL.
const online = `(d.state = 'approved' and coalesce(d.last_seen > now() - interval '90 seconds', false))`

// The columns that tables sort by.
var (
	deviceSort = map[string]string{
		"name": "d.name", "state": "d.state", "os": "d.os", "online": online,
		"last_seen": "coalesce(d.last_seen, '-infinity')",
	}
	desktopSort = map[string]string{
		"name": "c.name", "owner": "coalesce(d.name, '')", "snapshots": "coalesce(s.n, 0)",
		"last_snapshot": "coalesce(l.committed, '-infinity')", "logical_bytes": "coalesce(f.logical, l.bytes, 0)",
		"stored_bytes": "coalesce(f.stored, 0)", "unique_bytes": "coalesce(f.exclusive, 0)",
		"saved_share": "coalesce((f.all_logical - f.exclusive)::float8 / nullif(f.all_logical, 0), 0)",
	}
	snapshotSort = map[string]string{
		"at": "s.seq", "device": "s.device", "files": "s.files", "logical_bytes": "s.bytes",
		"new_bytes": "coalesce(f.added, 0)",
	}
)

// order is the end of a query; ties are broken by a column that is unique.
func (q PageQuery) order(columns map[string]string, tie string) (string, error) {
	by, ok := columns[q.Sort]
	if !ok {
		return "", fmt.Errorf("%w: there is no column %q to sort by", wire.ErrInvalid, q.Sort)
	}
	if q.Desc {
		by += " desc"
	}
	return fmt.Sprintf(" order by %s, %s offset %d limit %d", by, tie, q.Offset, q.Limit), nil
}

// pattern is the search for ilike.
func (q PageQuery) pattern() string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(q.Search) + "%"
}

// page collects rows whose last column is the number of all.
func page[T any](ctx context.Context, db *DB, op string, scan func(s scanner) (T, int64, error), query string, args ...any) (all []T, total int64, err error) {
	all, err = rows(ctx, db, op, func(rs *sql.Rows) (v T, err error) {
		v, total, err = scan(rs)
		return v, err
	}, query, args...)
	return all, total, err
}

// counted adds a column to what is scanned.
type counted struct {
	s     scanner
	extra []any
}

func (c counted) Scan(to ...any) error { return c.s.Scan(append(to, c.extra...)...) }

// DeviceRow is a device as a table shows it.
type DeviceRow struct {
	Device
	Online bool
}

// DevicesPage is a part of the table of devices, and how many rows there are.
func (db *DB) DevicesPage(ctx context.Context, q PageQuery) ([]DeviceRow, int64, error) {
	order, err := q.order(deviceSort, "d.name")
	if err != nil {
		return nil, 0, err
	}
	return page(ctx, db, "list devices", func(s scanner) (r DeviceRow, n int64, err error) {
		r.Device, err = scanDevice(counted{s, []any{&r.Online, &n}})
		return r, n, err
	}, `select `+deviceColumns+`, `+online+`, count(*) over () from devices d
		where ($1 = '' or d.state = $1) and (d.name ilike $2 or d.host ilike $2 or d.os ilike $2 or d.address ilike $2)`+order,
		string(q.State), q.pattern())
}

// DesktopRow is a desktop as a table shows it. The byte figures may be some seconds old.
type DesktopRow struct {
	CVD
	LogicalBytes, AllLogicalBytes, StoredBytes, UniqueBytes int64
}

const desktopQuery = `select c.id, c.name, coalesce(d.name, ''), c.created, coalesce(s.n, 0), l.id, l.committed,
		coalesce(f.logical, l.bytes, 0), coalesce(f.all_logical, 0), coalesce(f.stored, 0), coalesce(f.exclusive, 0), count(*) over ()
	from cvds c
	left join devices d on d.id = c.device_id
	left join desktop_figures f on f.cvd_id = c.id
	left join (select cvd_id, count(*) n, max(seq) seq from snapshots group by cvd_id) s on s.cvd_id = c.id
	left join snapshots l on l.seq = s.seq `

func scanDesktop(s scanner) (r DesktopRow, total int64, err error) {
	r.CVD, err = scanCVD(counted{s, []any{&r.LogicalBytes, &r.AllLogicalBytes, &r.StoredBytes, &r.UniqueBytes, &total}})
	return r, total, err
}

// DesktopsPage is a part of the table of desktops, and how many rows there are.
func (db *DB) DesktopsPage(ctx context.Context, q PageQuery) ([]DesktopRow, int64, error) {
	order, err := q.order(desktopSort, "c.name")
	if err != nil {
		return nil, 0, err
	}
	return page(ctx, db, "list desktops", scanDesktop, desktopQuery+`where c.name ilike $1 or d.name ilike $1`+order, q.pattern())
}

// Desktop is one row of it.
func (db *DB) Desktop(ctx context.Context, name string) (DesktopRow, error) {
	r, _, err := scanDesktop(db.sql.QueryRowContext(ctx, desktopQuery+`where c.name = $1`, name))
	return r, fault(fmt.Sprintf("desktop %q", name), err)
}

// SnapshotRow is a snapshot as a table shows it.
type SnapshotRow struct {
	cvd.Snapshot
	Committed time.Time
	NewBytes  int64
}

// SnapshotsPage is a part of the table of a desktop's snapshots, and how many rows there are.
func (db *DB) SnapshotsPage(ctx context.Context, cvdID int64, q PageQuery) ([]SnapshotRow, int64, error) {
	order, err := q.order(snapshotSort, "s.seq desc")
	if err != nil {
		return nil, 0, err
	}
	return page(ctx, db, "list snapshots", func(s scanner) (r SnapshotRow, n int64, err error) {
		var id, root, parent []byte
		err = s.Scan(&id, &r.CVD, &root, &parent, &r.Device, &r.Host, &r.Taken, &r.Files, &r.Dirs, &r.Bytes, &r.Unreadable,
			&r.Committed, &r.NewBytes, &n)
		copy(r.ID[:], id)
		copy(r.Root[:], root)
		copy(r.Parent[:], parent)
		return r, n, err
	}, `select s.id, c.name, s.root, s.parent, s.device, s.host, s.taken, s.files, s.dirs, s.bytes, s.unreadable, s.committed,
			coalesce(f.added, 0), count(*) over ()
		from snapshots s join cvds c on c.id = s.cvd_id left join snapshot_figures f on f.id = s.id
		where s.cvd_id = $1 and (encode(s.id, 'hex') ilike $2 or s.device ilike $2 or s.host ilike $2)`+order, cvdID, q.pattern())
}
