package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/sis"
	"github.com/looming-project/looming/vfs/wire"
)

// volumes are the places for packs that the database knows.
type volumes struct {
	db *postgres.DB

	mu    sync.RWMutex
	known map[int32]*volume
}

// volume is one of them; vol is nil as long as it is away. vol, err and Drained are guarded by volumes.mu.
type volume struct {
	postgres.VolumeRow
	vol sis.Volume
	err error
	ask *inquiry
}

// load reads what the database knows and tries to open what is not open, all at the same time.
func (v *volumes) load(ctx context.Context, log *slog.Logger) error {
	rows, err := v.db.Volumes(ctx)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	for _, k := range v.enter(rows) {
		all.Go(func() {
			if err := v.open(k); err != nil {
				log.Error("a volume is away", "volume", k.URL, "error", err)
			}
		})
	}
	all.Wait()
	return nil
}

// reload reads what the database knows, and opens nothing.
func (v *volumes) reload(ctx context.Context) error {
	rows, err := v.db.Volumes(ctx)
	if err == nil {
		v.enter(rows)
	}
	return err
}

// enter makes rows the known volumes and returns those that are not open.
func (v *volumes) enter(rows []postgres.VolumeRow) (away []*volume) {
	v.mu.Lock()
	defer v.mu.Unlock()
	known := make(map[int32]*volume, len(rows))
	for _, r := range rows {
		k := v.known[r.ID]
		if k == nil || k.URL != r.URL {
			k = &volume{VolumeRow: r, ask: &inquiry{}}
		}
		k.Drained = r.Drained
		known[r.ID] = k
		if k.vol == nil {
			away = append(away, k)
		}
	}
	v.known = known
	return away
}

// open opens a volume. What answers too late is open for the next who asks.
func (v *volumes) open(k *volume) error {
	err := k.ask.ask(k.URL, func() {
		vol, err := sis.OpenDir(k.URL, k.UUID)
		v.mu.Lock()
		defer v.mu.Unlock()
		if k.err = err; err == nil && k.vol == nil {
			k.vol = vol
		}
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		k.err = err
	}
	if k.vol != nil {
		return nil
	}
	return k.err
}

// space is the free and total bytes of a volume that is open.
func (k *volume) space() (free, total int64, err error) {
	type answer struct {
		free, total int64
		err         error
	}
	got := make(chan answer, 1) // whoever gave up reads it no more
	err = k.ask.ask(k.URL, func() {
		var a answer
		a.free, a.total, a.err = k.vol.Space()
		got <- a
	})
	if err != nil {
		return 0, 0, err
	}
	a := <-got
	return a.free, a.total, a.err
}

// add makes an address a volume, or opens it where it is one that is known by that address.
func (v *volumes) add(ctx context.Context, url string) (int32, error) {
	v.mu.RLock()
	for id, k := range v.known {
		if k.URL == url {
			v.mu.RUnlock()
			return id, nil // away or not: its id says that nothing else may be there
		}
	}
	v.mu.RUnlock()
	vol, err := sis.MakeDir(url)
	if err != nil {
		return 0, err
	}
	row, err := v.db.PutVolume(ctx, vol.ID(), url)
	if err != nil {
		return 0, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known[row.ID] = &volume{VolumeRow: row, vol: vol, ask: &inquiry{}}
	return row.ID, nil
}

// get returns a volume; one that is away is tried again, one that another server added is looked up.
func (v *volumes) get(ctx context.Context, id int32) (sis.Volume, error) {
	if vol := v.ready(id); vol != nil {
		return vol, nil
	}
	if err := v.load(ctx, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	if vol := v.ready(id); vol != nil {
		return vol, nil
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	if k := v.known[id]; k != nil {
		return nil, fmt.Errorf("%w: %w", wire.ErrUnavailable, k.err)
	}
	return nil, fmt.Errorf("%w: volume %d is not known", wire.ErrUnavailable, id)
}

func (v *volumes) ready(id int32) sis.Volume {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if k := v.known[id]; k != nil {
		return k.vol
	}
	return nil
}

func (v *volumes) list() []volume {
	v.mu.RLock()
	defer v.mu.RUnlock()
	all := make([]volume, 0, len(v.known))
	for _, k := range v.known {
		all = append(all, *k)
	}
	return all
}

// pick chooses the volume with the most free space for a pack of n bytes, among those that take packs.
func (v *volumes) pick(ctx context.Context, n int64) (id int32, vol sis.Volume, err error) {
	most := int64(-1)
	var away error
	for _, k := range v.list() {
		if k.Drained {
			continue
		}
		var err error
		if k.vol == nil {
			k.vol, err = v.get(ctx, k.ID)
		}
		var free int64
		if err == nil {
			free, _, err = k.space()
		}
		if err != nil {
			away = fmt.Errorf("%w: %w", wire.ErrUnavailable, err)
		} else if free > most {
			most, id, vol = free, k.ID, k.vol
		}
	}
	switch {
	case vol == nil && away != nil:
		return 0, nil, away
	case vol == nil:
		return 0, nil, fmt.Errorf("%w: the server has no volume that takes packs: an admin must add one", wire.ErrFull)
	case most < n:
		return 0, nil, full(vol)
	}
	return id, vol, nil
}

func full(vol sis.Volume) error {
	return fmt.Errorf("%w: volume %s: an admin must make room or add a volume", wire.ErrFull, vol.Name())
}

// trouble gives an error of a volume its meaning across the network.
func trouble(vol sis.Volume, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return full(vol)
	case errors.Is(err, sis.ErrVolume):
		return fmt.Errorf("%w: %w", wire.ErrUnavailable, err)
	}
	return err
}
