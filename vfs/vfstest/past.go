package vfstest

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/looming-project/looming/vfs/cvd"
)

// Past is the snapshots of a desktop in memory, as a server has them. It is safe for concurrent use.
type Past struct {
	mu    sync.Mutex
	snaps []cvd.Snapshot
	away  bool
}

// Add adds a snapshot.
func (p *Past) Add(s cvd.Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.snaps = append(p.snaps, s)
}

// Remove takes a snapshot away.
func (p *Past) Remove(id cvd.SnapshotID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.snaps = slices.DeleteFunc(p.snaps, func(s cvd.Snapshot) bool { return s.ID == id })
}

// Away puts the server out of reach, where it answers nothing, or back.
func (p *Past) Away(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

// ask returns what there is, or waits for an answer that does not come.
func (p *Past) ask(ctx context.Context) ([]cvd.Snapshot, error) {
	p.mu.Lock()
	away, all := p.away, slices.Clone(p.snaps)
	p.mu.Unlock()
	if away {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return all, nil
}

// Snapshots implements history.Snapshots.
func (p *Past) Snapshots(ctx context.Context) ([]cvd.Snapshot, error) { return p.ask(ctx) }

// Snapshot implements history.Snapshots.
func (p *Past) Snapshot(ctx context.Context, name string) (cvd.Snapshot, error) {
	all, err := p.ask(ctx)
	if err != nil {
		return cvd.Snapshot{}, err
	}
	if name == "latest" && len(all) > 0 {
		return all[len(all)-1], nil
	}
	var found []cvd.Snapshot
	for _, s := range all {
		if strings.HasPrefix(s.ID.String(), cvd.SnapshotRef(name)) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		return cvd.Snapshot{}, fmt.Errorf("%w: %d snapshots begin with %q", fs.ErrNotExist, len(found), name)
	}
	return found[0], nil
}
