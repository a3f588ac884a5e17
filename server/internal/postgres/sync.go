package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
)

// syncing makes connections on which a commit is on the disk when it returns: what a device was told is kept must
// survive a power cut. Settings that promise more, as for standbys, are the admin's and stay.
type syncing struct{ driver.Connector }

const syncCommits = `select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'`

// Connect implements driver.Connector.
func (s syncing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	e, ok := c.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(fmt.Errorf("set synchronous_commit: %w", errors.ErrUnsupported), c.Close())
	}
	if _, err := e.ExecContext(ctx, syncCommits, nil); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// checkSync warns of settings that only the database's admin can change.
func (db *DB) checkSync(ctx context.Context) error {
	var fsync, pages bool
	err := db.sql.QueryRowContext(ctx, `select current_setting('fsync')::bool, current_setting('full_page_writes')::bool`).Scan(&fsync, &pages)
	if err != nil {
		return fault("connect to the database", err)
	}
	if !fsync {
		slog.Warn("the database runs with fsync = off: a power cut may destroy everything; set fsync = on")
	}
	if !pages {
		slog.Warn("the database runs with full_page_writes = off: a power cut may damage it; set full_page_writes = on")
	}
	return nil
}
