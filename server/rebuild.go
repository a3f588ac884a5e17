package server

import (
	"context"
	"errors"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/session"
)

// Rebuilt is what Rebuild did.
type Rebuilt = session.Rebuilt

// Rebuild makes the index of chunks again from the packs on the volumes, after a loss in the database. Nothing is
// removed. No server may run on the database meanwhile. A directory that no server had is wire.ErrNotFound.
func Rebuild(ctx context.Context, o ServeOptions) (done *Rebuilt, err error) {
	o.existing = true
	err = o.within(ctx, func(ctx context.Context, o ServeOptions) error {
		done, err = o.rebuild(ctx)
		return err
	})
	return done, err
}

func (o ServeOptions) rebuild(ctx context.Context) (*Rebuilt, error) {
	db, err := postgres.Open(ctx, o.Database)
	if err != nil {
		return nil, err
	}
	content, err := session.Open(ctx, db, session.Options{Volumes: o.Volumes, FirstVolume: o.firstVolume, Log: o.Log})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	done, err := content.Rebuild(ctx)
	return done, errors.Join(err, content.Close(), db.Close())
}
