package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
)

// snapshotUsage says what a snapshot can be asked for by, wherever it is.
const snapshotUsage = "the snapshot: its `id`, the start of it, or its name as .snapshots shows it (default: the latest)"

// past is the snapshots of a desktop that the server has.
type past struct {
	client *remote.Client
	cvd    string
}

// Snapshots implements history.Snapshots.
func (p past) Snapshots(ctx context.Context) ([]cvd.Snapshot, error) {
	all, err := p.client.Snapshots(ctx, p.cvd)
	return all, missing(err)
}

// Snapshot implements history.Snapshots.
func (p past) Snapshot(ctx context.Context, name string) (cvd.Snapshot, error) {
	s, err := p.client.Snapshot(ctx, p.cvd, name)
	return s, missing(err)
}

// missing says what the server has not, or not one alone, as a file system does.
func missing(err error) error {
	if errors.Is(err, wire.ErrNotFound) || errors.Is(err, wire.ErrConflict) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}
