package scan

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
)

// Sizes and numbers of uploads.
const (
	packMost   = 12 << 20
	packLeast  = 1 << 20
	uploaders  = 2
	packs      = uploaders + 1
	ackTime    = 10 * time.Second
	recentSize = 1 << 15
)

// Session is an upload session of the server, as remote.Session gives it.
type Session interface {
	Info() wire.Session
	Have(ctx context.Context, ids []chunk.ID) ([]wire.Have, error)
	Files(ctx context.Context, ids []chunk.ID) ([]wire.FileAnswer, error)
	Prove(ctx context.Context, ids []chunk.ID, plain func(chunk.ID) []byte) ([]chunk.ID, error)
	Upload(ctx context.Context, p *remote.Pack) error
}

// shipper brings chunks to the server, each once. Whether a chunk is there is remembered while it is under way and, of
// those that were, for the most recent ones; all others are just asked about again.
type shipper struct {
	s     Session
	count *Counters
	free  chan *remote.Pack
	out   chan *remote.Pack

	// mu guards what follows.
	mu       sync.Mutex
	underway map[chunk.ID]struct{}
	recent   []chunk.ID

	// packing guards cur. It is held while waiting for a free pack: who adds must wait anyway.
	packing sync.Mutex
	cur     *remote.Pack

	// target is how large packs are to be.
	target atomic.Int64
}

func newShipper(s Session, count *Counters) *shipper {
	sh := &shipper{
		s: s, count: count, free: make(chan *remote.Pack, packs), out: make(chan *remote.Pack, packs),
		underway: map[chunk.ID]struct{}{}, recent: make([]chunk.ID, recentSize),
	}
	sh.target.Store(packMost / 3)
	for range packs {
		sh.free <- nil
	}
	return sh
}

func slot(id *chunk.ID) uint64 { return binary.LittleEndian.Uint64(id[:]) % recentSize }

// claim returns the ids for which the caller has to care: the others are on the server or under way.
func (sh *shipper) claim(dst []chunk.ID, pieces []piece) []chunk.ID {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i := range pieces {
		id := &pieces[i].id
		if sh.recent[slot(id)] == *id {
			continue
		}
		if _, ok := sh.underway[*id]; ok {
			continue
		}
		sh.underway[*id] = struct{}{}
		dst = append(dst, *id)
	}
	return dst
}

// settle notes that chunks are on the server.
func (sh *shipper) settle(ids ...chunk.ID) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i := range ids {
		delete(sh.underway, ids[i])
		sh.recent[slot(&ids[i])] = ids[i]
	}
}

// bring sees to it that the pieces get to the server: asks, proves, compresses, packs. The pieces' bytes are free for
// other use when it returns; they are on the server when close has returned.
func (sh *shipper) bring(ctx context.Context, sl *slab, x *scratch) error {
	x.ids = sh.claim(x.ids[:0], sl.pieces)
	if len(x.ids) == 0 {
		return nil
	}
	haves, err := sh.s.Have(ctx, x.ids)
	if err != nil {
		return err
	}
	missing := make(map[chunk.ID]bool, len(x.ids))
	var unproven []chunk.ID
	for i, h := range haves {
		switch h {
		case wire.Present:
			sh.settle(x.ids[i])
		case wire.Unproven:
			unproven = append(unproven, x.ids[i])
		default:
			missing[x.ids[i]] = true
		}
	}
	if err := sh.prove(ctx, sl, unproven, missing); err != nil {
		return err
	}
	return sh.compress(ctx, sl, x, missing)
}

// prove shows that this device holds chunks, and adds to missing those for which it did not work.
func (sh *shipper) prove(ctx context.Context, sl *slab, ids []chunk.ID, missing map[chunk.ID]bool) error {
	if len(ids) == 0 {
		return nil
	}
	refused, err := sh.s.Prove(ctx, ids, sl.find)
	if err != nil {
		return err
	}
	for _, id := range refused {
		missing[id] = true
	}
	for _, id := range ids {
		if !missing[id] {
			sh.settle(id)
		}
	}
	return nil
}

func (sh *shipper) compress(ctx context.Context, sl *slab, x *scratch, missing map[chunk.ID]bool) error {
	for i := range sl.pieces {
		p := &sl.pieces[i]
		if !missing[p.id] {
			continue
		}
		delete(missing, p.id)
		x.frame = chunk.Encode(x.frame[:0], sl.plain(p))
		if err := sh.pack(ctx, p.id, x.frame); err != nil {
			return err
		}
	}
	return nil
}

func (sh *shipper) pack(ctx context.Context, id chunk.ID, frame []byte) error {
	sh.packing.Lock()
	defer sh.packing.Unlock()
	need := len(frame) + wire.HeadSize
	if sh.cur != nil && (sh.cur.Size()+need > int(sh.target.Load()) || sh.cur.Free() < need) && sh.cur.Len() > 0 {
		sh.out <- sh.cur // has room for all packs
		sh.cur = nil
	}
	if sh.cur == nil {
		select {
		case sh.cur = <-sh.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		if sh.cur == nil {
			sh.cur = remote.NewPack(packMost)
		}
	}
	sh.cur.Add(id, frame)
	return nil
}

// close sends what is packed. Nothing may be brought any more.
func (sh *shipper) close() {
	sh.packing.Lock()
	defer sh.packing.Unlock()
	if sh.cur != nil && sh.cur.Len() > 0 {
		sh.out <- sh.cur
		sh.cur = nil
	}
	close(sh.out)
}

// run uploads packs until close, or the first error.
func (sh *shipper) run(ctx context.Context) error {
	for {
		select {
		case p, ok := <-sh.out:
			if !ok {
				return nil
			}
			if err := sh.upload(ctx, p); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (sh *shipper) upload(ctx context.Context, p *remote.Pack) error {
	ids := make([]chunk.ID, 0, p.Len())
	p.IDs(func(id chunk.ID) { ids = append(ids, id) })
	size, began := p.Size(), time.Now()
	if err := sh.s.Upload(ctx, p); err != nil {
		return err
	}
	sh.count.BytesSent.Add(int64(size))
	sh.count.ChunksSent.Add(int64(len(ids)))
	sh.settle(ids...)
	sh.adapt(size, time.Since(began))
	p.Reset()
	sh.free <- p // has room for all packs
	return nil
}

// adapt chooses how large the next packs are: as large as the link takes in ackTime, so that a broken one
// costs no more than that.
func (sh *shipper) adapt(size int, took time.Duration) {
	fit := float64(size) * ackTime.Seconds() / max(took.Seconds(), 0.001)
	sh.target.Store(int64(min(max(fit, packLeast), packMost, 2*float64(sh.target.Load()))))
}
