package session

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/sis"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/wire"
)

// Bounds of a window: what is read at once.
const (
	windowBytes = 1 << 20
	// windowMin is the least of one that is sent slowly: below slowRate, in bytes a second.
	windowMin    = 64 << 10
	slowRate     = 2 * windowBytes
	windowChunks = 1024
)

// record is one chunk to be read: its Frame, or Err, is set by read.
type record struct {
	sis.Want
	pack int32
}

func recordOf(id chunk.ID, c postgres.Chunk) record {
	return record{Want: sis.Want{Entry: sis.Entry{ID: id, Offset: c.Offset, Length: c.Length, Plain: c.Plain}}, pack: c.Pack}
}

// locate says where chunks lie, by the cache first.
func (s *Service) locate(ctx context.Context, ids []chunk.ID) (map[chunk.ID]postgres.Chunk, error) {
	found := make(map[chunk.ID]postgres.Chunk, len(ids))
	unknown := s.where.get(ids, found)
	s.stats.cacheHits.Add(uint64(len(ids) - len(unknown)))
	s.stats.cacheMisses.Add(uint64(len(unknown)))
	return found, s.lookup(ctx, unknown, found)
}

// Reading the index of a whole pack costs, for each chunk, about a tenth of looking one up: it is done where many
// of a batch lie in it, and at most packRows at a time.
const (
	packGain = 8
	packRows = 1 << 15
	probes   = 32
)

// lookup asks the database about the unknown.
func (s *Service) lookup(ctx context.Context, unknown []chunk.ID, found map[chunk.ID]postgres.Chunk) error {
	if len(unknown) == 0 {
		return nil
	}
	for len(unknown) > 4*probes {
		packs, err := s.sample(ctx, unknown)
		if err != nil {
			return err
		}
		if len(packs) == 0 {
			break
		}
		all, err := s.db.ChunksOfPacks(ctx, packs)
		if err != nil {
			return err
		}
		s.where.putAll(all)
		unknown = slices.DeleteFunc(unknown, func(id chunk.ID) bool {
			c, ok := all[id]
			if ok {
				found[id] = c
			}
			return ok
		})
	}
	all, err := s.db.Chunks(ctx, unknown)
	if err != nil {
		return err
	}
	s.where.putAll(all)
	for id, c := range all {
		found[id] = c
	}
	return nil
}

// sample finds, by every so-manieth chunk, packs in which so many of them lie that their indexes are worth reading.
func (s *Service) sample(ctx context.Context, unknown []chunk.ID) ([]int32, error) {
	ids := make([]chunk.ID, 0, probes)
	for i := range probes {
		ids = append(ids, unknown[i*len(unknown)/probes])
	}
	chunks, err := s.db.Chunks(ctx, ids)
	if err != nil {
		return nil, err
	}
	hits := map[int32]int{}
	for _, c := range chunks {
		hits[c.Pack]++
	}
	packs := slices.SortedFunc(maps.Keys(hits), func(a, b int32) int { return hits[b] - hits[a] })
	sizes, err := s.db.PackSizes(ctx, packs)
	if err != nil {
		return nil, err
	}
	rows := 0
	return slices.DeleteFunc(packs, func(id int32) bool {
		expected := hits[id] * len(unknown) / probes
		if hits[id] < 2 || expected*packGain < sizes[id] || rows+sizes[id] > packRows {
			return true
		}
		rows += sizes[id]
		return false
	}), nil
}

// read fills in the frames of records, in buf or grown from it. What cannot be
// read is looked up anew, because it may have moved. A record that stays unreadable has an Err;
// a volume that is away fails the call.
func (s *Service) read(ctx context.Context, records []record, buf []byte) ([]byte, error) {
	buf, err := s.readOnce(ctx, records, buf)
	if err != nil {
		return buf, err
	}
	var again []chunk.ID
	for i := range records {
		if records[i].Err != nil {
			again = append(again, records[i].ID)
			s.where.drop(records[i].ID)
		}
	}
	if len(again) == 0 {
		return buf, nil
	}
	return s.readMoved(ctx, records, again, buf)
}

func (s *Service) readMoved(ctx context.Context, records []record, again []chunk.ID, buf []byte) ([]byte, error) {
	chunks, err := s.db.Chunks(ctx, again)
	if err != nil {
		return buf, err
	}
	for i := range records {
		r := &records[i]
		c, ok := chunks[r.ID]
		if r.Err == nil || !ok {
			continue
		}
		moved := recordOf(r.ID, c)
		if moved.pack == r.pack && moved.Offset == r.Offset {
			s.damaged(ctx, r)
			continue
		}
		one := []record{moved}
		if buf, err = s.readOnce(ctx, one, buf); err != nil {
			return buf, err
		}
		if *r = one[0]; r.Err != nil {
			s.damaged(ctx, r)
		}
	}
	return buf, nil
}

// damaged notes that a record where the index says it lies is not whole, so that a later upload heals it.
func (s *Service) damaged(ctx context.Context, r *record) {
	if !errors.Is(r.Err, chunk.ErrDamaged) {
		return
	}
	s.stats.damaged.Add(1)
	s.opts.Log.Error("a chunk is damaged: a later upload heals it; run verify to see which files it touches",
		"chunk", r.ID, "pack", r.pack, "error", r.Err)
	if _, err := s.db.MarkDamaged(ctx, r.pack, []chunk.ID{r.ID}, true); err != nil {
		s.opts.Log.Warn("a damaged chunk could not be noted", "chunk", r.ID, "error", err)
	}
}

// readOnce reads the records pack by pack.
func (s *Service) readOnce(ctx context.Context, records []record, buf []byte) ([]byte, error) {
	order := make([]*record, len(records))
	for i := range records {
		order[i] = &records[i]
	}
	slices.SortFunc(order, func(a, b *record) int { return cmp.Compare(a.pack, b.pack) })
	wants := make([]*sis.Want, 0, len(order))
	for len(order) > 0 {
		pack := order[0].pack
		wants = wants[:0]
		for len(order) > 0 && order[0].pack == pack {
			wants, order = append(wants, &order[0].Want), order[1:]
		}
		var err error
		if buf, err = s.readPack(ctx, pack, wants, buf); err != nil {
			return buf, err
		}
	}
	return buf, nil
}

func (s *Service) readPack(ctx context.Context, pack int32, wants []*sis.Want, buf []byte) ([]byte, error) {
	p, err := s.packs.get(ctx, pack)
	switch {
	case errors.Is(err, wire.ErrUnavailable), ctx.Err() != nil:
		return buf, err
	case err != nil:
		for _, w := range wants {
			w.Err = err
		}
		return buf, nil
	}
	defer s.packs.put(p)
	for _, w := range wants {
		s.stats.packBytes.Add(uint64(w.Length))
	}
	s.stats.packReads.Add(1)
	return sis.Read(p, wants, buf), nil
}
