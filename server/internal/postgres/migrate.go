package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/looming-project/looming/vfs/wire"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. Servers that start together take turns by an advisory lock.
func (db *DB) migrate(ctx context.Context) error {
	p, err := db.migrations()
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fault("bring the schema up to date", err)
	}
	return db.Migrated(ctx)
}

// Migrated says whether the schema is the one that this program knows.
func (db *DB) Migrated(ctx context.Context) error {
	p, err := db.migrations()
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fault("read the version of the schema", err)
	}
	if have < want {
		return fmt.Errorf("%w: the schema has version %d and must come to %d: start the server again", wire.ErrUnavailable, have, want)
	}
	if have > want {
		return fmt.Errorf("the schema has version %d and this program knows %d: a newer server has used this database, upgrade this one", have, want)
	}
	return nil
}

func (db *DB) migrations() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	// Another server may take minutes over a large migration: ask every second, for an hour.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 3600))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db.sql, files, goose.WithSessionLocker(locker),
		goose.WithDisableGlobalRegistry(true), goose.WithAllowOutofOrder(true))
}
