package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/sis"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// Bounds of a report.
const (
	reportChunks = 1000
	reportFiles  = 1000
)

// Report is what Verify found. The lists are cut after a thousand; the counts are not.
type Report struct {
	Packs  int   `json:"packs"`
	Chunks int   `json:"chunks"`
	Bytes  int64 `json:"bytes"`
	// Healed counts chunks that had been noted as damaged and are whole.
	Healed       int              `json:"healed"`
	DamagedCount int              `json:"damaged_count"`
	Damaged      []DamagedChunk   `json:"damaged"`
	FileCount    int              `json:"file_count"`
	Files        []DamagedFile    `json:"files"`
	Unreadable   []UnreadablePack `json:"unreadable"`
}

// DamagedChunk is a chunk that is not whole where the index says that it lies.
type DamagedChunk struct {
	ID     chunk.ID `json:"id"`
	Pack   string   `json:"pack"`
	Volume string   `json:"volume"`
	Why    string   `json:"why"`
}

// UnreadablePack could not be judged because its volume is away.
type UnreadablePack struct {
	Pack string `json:"pack"`
	Why  string `json:"why"`
}

// DamagedFile is a file that cannot be read back whole until an upload heals it.
// Path is of a directory, with a slash at its end, where the directory's own node is damaged.
type DamagedFile struct {
	CVD      string         `json:"cvd"`
	Snapshot cvd.SnapshotID `json:"snapshot"`
	Path     string         `json:"path"`
}

// Verify reads all packs again, notes which chunks are damaged, so that a later
// upload heals them, and finds the files that they touch. progress, which may be
// nil, hears of every pack.
func (s *Service) Verify(ctx context.Context, progress func(*Report)) (*Report, error) {
	r := &Report{Damaged: []DamagedChunk{}, Files: []DamagedFile{}, Unreadable: []UnreadablePack{}}
	for after := int32(0); ; {
		packs, err := s.db.PacksAfter(ctx, after, 100)
		if err != nil {
			return r, err
		}
		if len(packs) == 0 {
			return r, s.touched(ctx, r)
		}
		for _, p := range packs {
			if err := s.verifyPack(ctx, p, r); err != nil {
				return r, err
			}
			if progress != nil {
				progress(r)
			}
		}
		after = packs[len(packs)-1].ID
	}
}

// verifyPack reads one pack and compares it with the index.
func (s *Service) verifyPack(ctx context.Context, p postgres.Pack, r *Report) error {
	rows, err := s.db.ChunksOfPacks(ctx, []int32{p.ID})
	if err != nil {
		return err
	}
	whole, err := s.wholeOf(ctx, p)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.Unreadable = append(r.Unreadable, UnreadablePack{p.Name.String(), err.Error()})
		return nil
	}
	var bad, good []chunk.ID
	r.Packs++
	for id, c := range rows {
		r.Chunks++
		r.Bytes += int64(c.Length)
		if why, ok := whole[placed{id, c.Offset}]; !ok || why != nil {
			if !ok {
				why = fmt.Errorf("chunk %s: %w: the pack does not have it", id, chunk.ErrDamaged)
			}
			bad = append(bad, id)
			s.report(r, p, id, why)
		} else if c.Absent {
			good = append(good, id)
		}
	}
	if _, err := s.db.MarkDamaged(ctx, p.ID, bad, true); err != nil {
		return err
	}
	healed, err := s.db.MarkDamaged(ctx, p.ID, good, false)
	r.Healed += int(healed)
	return err
}

// placed is a record: a chunk may stand in a pack twice.
type placed struct {
	id     chunk.ID
	offset uint32
}

// wholeOf scans a pack and says for each record whether it is whole. A pack whose file is gone, or whose header is not its own,
// has none. An error means that the pack cannot be judged.
func (s *Service) wholeOf(ctx context.Context, p postgres.Pack) (map[placed]error, error) {
	whole := map[placed]error{}
	vol, err := s.volumes.get(ctx, p.Volume)
	if err != nil {
		return nil, err
	}
	f, err := vol.Open(p.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return whole, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	err = sis.Scan(f, p.Name, func(e sis.Entry, damage error) error {
		// The checksum tells of rotten bytes; the index and a record's head may rot too.
		if before, twice := whole[placed{e.ID, e.Offset}]; !twice || before != nil {
			whole[placed{e.ID, e.Offset}] = damage
		}
		return ctx.Err()
	})
	if errors.Is(err, sis.ErrPack) {
		err = nil // what made sense was seen; the rest counts as damaged
	}
	return whole, err
}

func (s *Service) report(r *Report, p postgres.Pack, id chunk.ID, why error) {
	s.stats.damaged.Add(1)
	if r.DamagedCount++; len(r.Damaged) >= reportChunks {
		return
	}
	name := fmt.Sprintf("volume %d", p.Volume)
	if vol := s.volumes.ready(p.Volume); vol != nil {
		name = vol.Name()
	}
	r.Damaged = append(r.Damaged, DamagedChunk{id, p.Name.String(), name, why.Error()})
}
