package session

import (
	"context"
	"errors"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// touched finds the files that need a damaged chunk, in the snapshots whose sets have one.
func (s *Service) touched(ctx context.Context, r *Report) error {
	damaged, err := s.db.Damaged(ctx)
	if err != nil || len(damaged) == 0 {
		return err
	}
	t := &toucher{s: s, r: r, bad: make(map[chunk.ID]bool, len(damaged))}
	set := roaring64.New()
	for serial, id := range damaged {
		set.Add(serial)
		t.bad[id] = true
	}
	snaps, err := s.db.AllSnapshots(ctx)
	if err != nil {
		return err
	}
	for i := range snaps {
		t.snap = &snaps[i].Snap
		if err := s.touchedIn(ctx, t, snaps[i].Seq, set); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) touchedIn(ctx context.Context, t *toucher, seq int64, damaged *roaring64.Bitmap) error {
	sets, err := s.db.Serials(ctx, []int64{seq})
	if err != nil || len(sets) == 0 {
		return err // removed meanwhile
	}
	set, err := decodeSet(sets[0])
	if err != nil || !set.Intersects(damaged) {
		return err
	}
	top, err := cvd.ReadRoot(ctx, s.source(), t.snap.Root)
	if err != nil {
		t.add("/")
		return ctx.Err()
	}
	return t.dir(ctx, top.Tree, "")
}

// toucher walks one snapshot after the other. Its depth is the tree's.
type toucher struct {
	s    *Service
	r    *Report
	bad  map[chunk.ID]bool
	snap *cvd.Snapshot
}

func (t *toucher) add(path string) {
	if t.r.FileCount++; len(t.r.Files) < reportFiles {
		t.r.Files = append(t.r.Files, DamagedFile{t.snap.CVD, t.snap.ID, path})
	}
}

// dir walks the directory at path, which is empty for the top.
func (t *toucher) dir(ctx context.Context, tree chunk.ID, path string) error {
	err := cvd.ReadDir(ctx, t.s.source(), tree, func(e *cvd.Entry) error {
		name := e.Name
		if path != "" {
			name = path + "/" + name
		}
		if e.Type == cvd.Dir {
			return t.dir(ctx, e.Tree, name)
		}
		touched, err := t.entry(ctx, e)
		if touched {
			t.add(name)
		}
		return err
	})
	if errors.Is(err, chunk.ErrDamaged) || errors.Is(err, chunk.ErrNotFound) {
		t.add(path + "/")
		return nil
	}
	return err
}

func (t *toucher) entry(ctx context.Context, e *cvd.Entry) (bool, error) {
	if touched, err := t.content(ctx, e.Size, &e.Content); touched || err != nil || e.Windows == nil {
		return touched, err
	}
	for i := range e.Windows.Streams {
		st := &e.Windows.Streams[i]
		if touched, err := t.content(ctx, st.Size, &st.Content); touched || err != nil {
			return touched, err
		}
	}
	return false, nil
}

func (t *toucher) content(ctx context.Context, size uint64, c *cvd.Content) (bool, error) {
	refs, err := cvd.ChunksOf(ctx, t.s.source(), size, c)
	if errors.Is(err, chunk.ErrDamaged) || errors.Is(err, chunk.ErrNotFound) {
		return true, nil
	}
	for _, r := range refs {
		if t.bad[r.ID] {
			return true, err
		}
	}
	return false, err
}

// source reads chunks without asking whose they are: for the server's own walks.
func (s *Service) source() chunk.Source { return ownSource{s} }

type ownSource struct{ s *Service }

// Fetch implements chunk.Source.
func (o ownSource) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	chunks, err := o.s.locate(ctx, ids)
	if err != nil {
		return err
	}
	w := windowPool.Get().(*window)
	defer windowPool.Put(w)
	buf := plainPool.Get().(*[]byte)
	defer plainPool.Put(buf)
	f := fetch{s: o.s, ids: ids, chunks: chunks}
	for start := 0; f.fill(w, windowBytes); start += len(w.ids) {
		if err := w.read(ctx, o.s); err != nil {
			return err
		}
		for i := range w.ids {
			plain, err := w.plain(ctx, o.s, i, (*buf)[:0])
			if err := got(start+i, plain, err); err != nil {
				return err
			}
		}
	}
	return nil
}
