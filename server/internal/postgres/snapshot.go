package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/lib/pq"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// Committed is a snapshot to be stored. Snap's CVD, Parent and Device are filled in.
type Committed struct {
	Snap cvd.Snapshot
	// Stored is the bytes of its frames, each once; Serials the set of its chunks.
	Stored  uint64
	Serials []byte
}

// ErrDamaged says that a set has damaged chunks.
var ErrDamaged = errors.New("chunks of the set are damaged")

// CommitSnapshot ends an open session with a snapshot, in one transaction. holds says whether a serial is in the
// snapshot's set: condemned packs with such chunks are rescued, and a damaged one is ErrDamaged.
func (db *DB) CommitSnapshot(ctx context.Context, s *Session, c *Committed, holds func(serial uint64) bool) error {
	return db.tx(ctx, "commit a snapshot of "+s.Name, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `select seq from collector for share`); err != nil {
			return err
		}
		if err := closeCommitted(ctx, tx, s, c.Snap.ID); err != nil {
			return err
		}
		if err := rescue(ctx, tx, holds); err != nil {
			return err
		}
		if err := noDamage(ctx, tx, holds); err != nil {
			return err
		}
		if err := insertSnapshot(ctx, tx, s, c); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `select pg_notify($1, $2)`, DesktopChanged, strconv.FormatInt(s.CVD, 10))
		return err
	})
}

// closeCommitted is where an expired session fails: its row is locked, and only an open one with a lease is closed.
func closeCommitted(ctx context.Context, tx *sql.Tx, s *Session, id cvd.SnapshotID) error {
	n, err := affected(tx.ExecContext(ctx, `
		update sessions set state = 1, snapshot = $2 where id = $1 and state = 0 and lease_until > clock_timestamp()`, s.ID, id[:]))
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%w: session %s has ended: begin another; what was acknowledged stays", wire.ErrExpired, s.Token)
	}
	_, err = tx.ExecContext(ctx, `delete from session_sets where session_id = $1`, s.ID)
	return err
}

// rescue makes condemned packs live again that hold chunks of the set.
func rescue(ctx context.Context, tx *sql.Tx, holds func(uint64) bool) error {
	rs, err := tx.QueryContext(ctx, `
		select c.pack_id, c.serial from packs p join chunks c on c.pack_id = p.id where p.state = 2`)
	if err != nil {
		return err
	}
	defer rs.Close()
	need := map[int32]bool{}
	for rs.Next() {
		var pack int32
		var serial uint64
		if err := rs.Scan(&pack, &serial); err != nil {
			return err
		}
		if holds(serial) {
			need[pack] = true
		}
	}
	if err := rs.Err(); err != nil || len(need) == 0 {
		return err
	}
	ids := make([]int32, 0, len(need))
	for id := range need {
		ids = append(ids, id)
	}
	_, err = tx.ExecContext(ctx, `update packs set state = 1, condemned = null where id = any($1) and state = 2`, pq.Array(ids))
	return err
}

func noDamage(ctx context.Context, tx *sql.Tx, holds func(uint64) bool) error {
	rs, err := tx.QueryContext(ctx, `select serial from chunks where plain_len < 0`)
	if err != nil {
		return err
	}
	defer rs.Close()
	for rs.Next() {
		var serial uint64
		if err := rs.Scan(&serial); err != nil {
			return err
		}
		if holds(serial) {
			return ErrDamaged
		}
	}
	return rs.Err()
}

// insertSnapshot takes the CVD's row, so that each snapshot has the one before it as its parent.
func insertSnapshot(ctx context.Context, tx *sql.Tx, s *Session, c *Committed) error {
	snap := &c.Snap
	snap.CVD = s.Name
	var owner sql.NullInt64
	if err := tx.QueryRowContext(ctx, `select device_id from cvds where id = $1 for update`, s.CVD).Scan(&owner); err != nil {
		return err
	}
	if owner.Int64 != s.Device {
		return fmt.Errorf("%w: the desktop %q is not this device's any more", wire.ErrDenied, s.Name)
	}
	err := tx.QueryRowContext(ctx, `select name from devices where id = $1 and state = 'approved' for share`, s.Device).
		Scan(&snap.Device)
	if errors.Is(err, sql.ErrNoRows) {
		return notApproved()
	}
	if err != nil {
		return err
	}
	var parent []byte
	err = tx.QueryRowContext(ctx, `select id from snapshots where cvd_id = $1 order by seq desc limit 1`, s.CVD).Scan(&parent)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	copy(snap.Parent[:], parent)
	// The same tree, that a rebuild had found incomplete, is whole again.
	if _, err := tx.ExecContext(ctx, `
		update snapshots set whole = true, serials = $3, stored = $4 where cvd_id = $1 and root = $2 and not whole`,
		s.CVD, snap.Root[:], c.Serials, int64(c.Stored)); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		insert into snapshots (id, cvd_id, root, parent, device, host, taken, files, dirs, bytes, unreadable, stored, serials)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		snap.ID[:], s.CVD, snap.Root[:], parent, snap.Device, snap.Host, snap.Taken,
		int64(snap.Files), int64(snap.Dirs), int64(snap.Bytes), int64(snap.Unreadable), int64(c.Stored), c.Serials)
	return err
}

// SnapshotSet names a snapshot whose set is wanted.
type SnapshotSet struct {
	Seq int64
	CVD int64
}

func scanSet(rs *sql.Rows) (s SnapshotSet, err error) { return s, rs.Scan(&s.Seq, &s.CVD) }

// SetsOfCVD lists a CVD's snapshots, oldest first.
func (db *DB) SetsOfCVD(ctx context.Context, cvd int64) ([]SnapshotSet, error) {
	return rows(ctx, db, "list snapshots", scanSet, `select seq, cvd_id from snapshots where cvd_id = $1 order by seq`, cvd)
}

// SetsOfDevice lists the snapshots that a device may read, none if it is not approved: of the CVDs that it owns or is assigned, by CVD, oldest first.
func (db *DB) SetsOfDevice(ctx context.Context, device int64) ([]SnapshotSet, error) {
	return rows(ctx, db, "list snapshots", scanSet, `
		select seq, cvd_id from snapshots where cvd_id in (
			select id from cvds where device_id = $1 union select cvd_id from assignments where device_id = $1)
		and exists (select 1 from devices where id = $1 and state = 'approved')
		order by cvd_id, seq`, device)
}

// Serials reads the sets of snapshots; those that are gone are left out.
func (db *DB) Serials(ctx context.Context, seqs []int64) ([][]byte, error) {
	return rows(ctx, db, "read the sets of snapshots", scanBytes, `select serials from snapshots where seq = any($1)`, pq.Array(seqs))
}

// PutSerials replaces the set of a snapshot, after the index was rebuilt. It is not whole if chunks of it are nowhere.
func (db *DB) PutSerials(ctx context.Context, seq int64, stored uint64, serials []byte, whole bool) error {
	_, err := db.exec(ctx, "replace the set of a snapshot",
		`update snapshots set serials = $2, stored = $3, whole = $4 where seq = $1`, seq, serials, int64(stored), whole)
	return err
}

// SameRoot finds the set and sums of a CVD's snapshot with that root that is whole; wire.ErrNotFound if there is none.
func (db *DB) SameRoot(ctx context.Context, cvdID int64, root cvd.Root) (c Committed, err error) {
	snap := &c.Snap
	err = db.sql.QueryRowContext(ctx, `
		select files, dirs, bytes, stored, serials from snapshots
		where cvd_id = $1 and root = $2 and whole order by seq desc limit 1`,
		cvdID, root[:]).Scan(&snap.Files, &snap.Dirs, &snap.Bytes, &c.Stored, &c.Serials)
	return c, fault("look for the same root", err)
}

const selectSnapshot = `
	select s.id, c.name, s.root, s.parent, s.device, s.host, s.taken, s.files, s.dirs, s.bytes, s.unreadable
	from snapshots s join cvds c on c.id = s.cvd_id`

func scanSnapshot(rs *sql.Rows) (s cvd.Snapshot, err error) {
	var id, root, parent []byte
	err = rs.Scan(&id, &s.CVD, &root, &parent, &s.Device, &s.Host, &s.Taken, &s.Files, &s.Dirs, &s.Bytes, &s.Unreadable)
	copy(s.ID[:], id)
	copy(s.Root[:], root)
	copy(s.Parent[:], parent)
	s.Taken = s.Taken.UTC()
	return s, err
}

// Snapshots lists the snapshots of a CVD, newest first; all of them if limit is 0.
func (db *DB) Snapshots(ctx context.Context, cvdID int64, offset, limit int) ([]cvd.Snapshot, error) {
	return rows(ctx, db, "list snapshots", scanSnapshot,
		selectSnapshot+` where s.cvd_id = $1 order by s.seq desc offset $2 limit nullif($3, 0)`, cvdID, offset, limit)
}

// StoredSnapshot is a snapshot with the keys of its rows.
type StoredSnapshot struct {
	SnapshotSet
	Snap cvd.Snapshot
}

// AllSnapshots lists the snapshots of all CVDs, by CVD, newest first.
func (db *DB) AllSnapshots(ctx context.Context) ([]StoredSnapshot, error) {
	return rows(ctx, db, "list snapshots", func(rs *sql.Rows) (s StoredSnapshot, err error) {
		var id, root []byte
		err = rs.Scan(&s.Seq, &s.CVD, &id, &s.Snap.CVD, &root)
		copy(s.Snap.ID[:], id)
		copy(s.Snap.Root[:], root)
		return s, err
	}, `select s.seq, s.cvd_id, s.id, c.name, s.root from snapshots s join cvds c on c.id = s.cvd_id order by c.name, s.seq desc`)
}

// Snapshot finds one snapshot of a CVD by its id, a unique prefix of it, or "latest".
func (db *DB) Snapshot(ctx context.Context, cvdID int64, name string) (cvd.Snapshot, error) {
	var found []cvd.Snapshot
	var err error
	switch name {
	case "":
	case "latest":
		found, err = db.Snapshots(ctx, cvdID, 0, 1)
	default:
		found, err = rows(ctx, db, "find a snapshot", scanSnapshot,
			selectSnapshot+` where s.cvd_id = $1 and starts_with(encode(s.id, 'hex'), lower($2)) limit 2`, cvdID, name)
	}
	switch {
	case err != nil:
		return cvd.Snapshot{}, err
	case len(found) == 0:
		return cvd.Snapshot{}, fmt.Errorf("%w: there is no snapshot %q", wire.ErrNotFound, name)
	case len(found) > 1:
		return cvd.Snapshot{}, fmt.Errorf("%w: more than one snapshot begins with %q", wire.ErrConflict, name)
	}
	return found[0], nil
}

// CommittedSnapshot finds a snapshot by its whole id.
func (db *DB) CommittedSnapshot(ctx context.Context, id cvd.SnapshotID) (cvd.Snapshot, error) {
	found, err := rows(ctx, db, "find a snapshot", scanSnapshot, selectSnapshot+` where s.id = $1`, id[:])
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%w: there is no snapshot %s", wire.ErrNotFound, id)
	}
	if err != nil {
		return cvd.Snapshot{}, err
	}
	return found[0], nil
}

// Latest is a CVD's newest snapshot, zero if it has none.
func (db *DB) Latest(ctx context.Context, cvdID int64) (cvd.Snapshot, error) {
	found, err := db.Snapshots(ctx, cvdID, 0, 1)
	if err != nil || len(found) == 0 {
		return cvd.Snapshot{}, err
	}
	return found[0], nil
}
