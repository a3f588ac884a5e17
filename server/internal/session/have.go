package session

import (
	"context"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// Have answers for each chunk whether it must be uploaded. Asking for none renews the lease.
func (s *Service) Have(ctx context.Context, device int64, id string, ids []chunk.ID) ([]wire.Have, error) {
	sess, err := s.use(ctx, device, id)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	chunks, err := s.db.Chunks(ctx, ids)
	if err != nil {
		return nil, err
	}
	haves := make([]wire.Have, len(ids))
	if len(chunks) > 0 {
		e, err := s.ofSession(ctx, sess)
		if err != nil {
			return nil, err
		}
		for i := range ids {
			haves[i] = answer(chunks, ids[i], e)
		}
		s.where.putAll(chunks)
	}
	s.countHaves(haves)
	return haves, nil
}

func answer(chunks map[chunk.ID]postgres.Chunk, id chunk.ID, e entitled) wire.Have {
	switch c, ok := chunks[id]; {
	case !ok || c.Absent:
		return wire.Missing
	case e.has(c.Serial):
		return wire.Present
	}
	return wire.Unproven
}

func (s *Service) countHaves(haves []wire.Have) {
	var n [wire.Unproven + 1]uint64
	for _, h := range haves {
		n[h]++
	}
	s.stats.asked.Add(uint64(len(haves)))
	s.stats.present.Add(n[wire.Present])
	s.stats.unproven.Add(n[wire.Unproven])
}

// Files answers for each file above chunk.WholeMax whether the server knows its
// content. Present is said only of what the same CVD committed: nobody hashed the
// whole file here, so what another device says is a hint, to be compared with
// one's own bytes chunk by chunk.
func (s *Service) Files(ctx context.Context, device int64, id string, ids []chunk.ID) ([]wire.FileAnswer, error) {
	sess, err := s.use(ctx, device, id)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	answers := make([]wire.FileAnswer, len(ids))
	files, err := s.db.Files(ctx, ids)
	if err != nil || len(files) == 0 {
		return answers, err
	}
	e, err := s.ofSession(ctx, sess)
	if err != nil {
		return nil, err
	}
	absent, err := s.absent(ctx)
	if err != nil {
		return nil, err
	}
	for i := range ids {
		f, ok := files[ids[i]]
		if !ok {
			continue
		}
		if answers[i], err = fileAnswer(&f, sess.CVD, e, absent); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func (s *Service) absent(ctx context.Context) (*roaring64.Bitmap, error) {
	serials, err := s.db.Absent(ctx)
	set := roaring64.New()
	set.AddMany(serials)
	return set, err
}

func fileAnswer(f *postgres.File, own int64, e entitled, absent *roaring64.Bitmap) (a wire.FileAnswer, err error) {
	set, err := decodeSet(f.Serials)
	if err != nil {
		return a, err
	}
	if set.Intersects(absent) {
		return a, nil
	}
	if a.Size, a.Content, err = cvd.DecodeContent(f.Content); err != nil {
		return wire.FileAnswer{}, fmt.Errorf("file %s in the database: %w", f.ID, err)
	}
	if a.Have = wire.Unproven; f.CVD == own && e.covers(set) {
		a.Have = wire.Present
	}
	return a, nil
}
