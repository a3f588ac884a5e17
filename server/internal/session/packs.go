package session

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/sis"
	"github.com/looming-project/looming/vfs/chunk"
)

// openMax is how many packs are kept open while nobody reads them.
const openMax = 64

// openPacks keeps packs open between requests.
type openPacks struct {
	db      *postgres.DB
	volumes *volumes

	mu   sync.Mutex
	open map[int32]*openPack
	idle list.List // of *openPack without readers, the longest idle first
}

type openPack struct {
	sis.PackReader
	id      int32
	readers int
	place   *list.Element // in idle
}

// get opens a pack. A pack that is gone, or whose file is, is chunk.ErrDamaged. Give it back with put.
func (o *openPacks) get(ctx context.Context, id int32) (*openPack, error) {
	if p := o.cached(id); p != nil {
		return p, nil
	}
	rows, err := o.db.Packs(ctx, []int32{id})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("pack %d: %w: it is gone", id, chunk.ErrDamaged)
	}
	vol, err := o.volumes.get(ctx, rows[0].Volume)
	if err != nil {
		return nil, err
	}
	r, err := vol.Open(rows[0].Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("pack %s: %w: its file is gone: %w", rows[0].Name, chunk.ErrDamaged, err)
	}
	if err != nil {
		return nil, trouble(vol, err)
	}
	return o.enter(id, r), nil
}

func (o *openPacks) cached(id int32) *openPack {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.open[id]
	if p != nil {
		o.holdLocked(p)
	}
	return p
}

func (o *openPacks) holdLocked(p *openPack) {
	p.readers++
	if p.place != nil {
		o.idle.Remove(p.place)
		p.place = nil
	}
}

// enter keeps r, unless another request was faster.
func (o *openPacks) enter(id int32, r sis.PackReader) *openPack {
	o.mu.Lock()
	p := o.open[id]
	fresh := p == nil
	if fresh {
		if o.open == nil {
			o.open = map[int32]*openPack{}
		}
		p = &openPack{PackReader: r, id: id}
		o.open[id] = p
	}
	o.holdLocked(p)
	o.mu.Unlock()
	if !fresh {
		_ = r.Close() // opened for reading: nothing is lost
	}
	return p
}

func (o *openPacks) put(p *openPack) {
	o.mu.Lock()
	var idlest *openPack
	if p.readers--; p.readers == 0 {
		p.place = o.idle.PushBack(p)
		if o.idle.Len() > openMax {
			idlest = o.idle.Remove(o.idle.Front()).(*openPack)
			delete(o.open, idlest.id)
		}
	}
	o.mu.Unlock()
	if idlest != nil {
		_ = idlest.Close()
	}
}

// forget closes a pack when nobody reads it any more, so that it is opened anew.
func (o *openPacks) forget(id int32) {
	o.mu.Lock()
	p := o.open[id]
	if p != nil && p.place != nil {
		o.idle.Remove(p.place)
		delete(o.open, id)
	} else {
		p = nil
	}
	o.mu.Unlock()
	if p != nil {
		_ = p.Close()
	}
}

func (o *openPacks) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	for id, p := range o.open {
		err = errors.Join(err, p.Close())
		delete(o.open, id)
	}
	o.idle.Init()
	return err
}
