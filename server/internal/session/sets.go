package session

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/looming-project/looming/server/internal/postgres"
)

// setsMax is how many bytes of CVDs' sets are kept.
const setsMax = 16 << 20

// entitlement says which chunks, by their serials, somebody may have.
type entitlement interface{ has(serial uint64) bool }

// entitled are the chunks that somebody may have: a serial in any of the sets. The sets are not to be changed.
type entitled []*roaring64.Bitmap

func (e entitled) has(serial uint64) bool {
	for _, s := range e {
		if s.Contains(serial) {
			return true
		}
	}
	return false
}

// covers says whether every serial of a set is there.
func (e entitled) covers(set *roaring64.Bitmap) bool {
	rest := set
	for _, s := range e {
		if rest = roaring64.AndNot(rest, s); rest.IsEmpty() {
			return true
		}
	}
	return rest.IsEmpty()
}

// setCache keeps for each CVD the union of its snapshots' sets. A snapshot's set
// never changes, so a union holds as long as the list of snapshots is the same,
// and that list is asked for in every request.
type setCache struct {
	db *postgres.DB

	mu    sync.Mutex
	cvds  map[int64]*cvdSet
	bytes uint64
	turn  uint64
}

type cvdSet struct {
	seqs  []int64
	union *roaring64.Bitmap
	bytes uint64
	used  uint64
}

// of returns the union of these snapshots of one CVD.
func (c *setCache) of(ctx context.Context, cvd int64, seqs []int64) (*roaring64.Bitmap, error) {
	old := c.cached(cvd)
	if old != nil && slices.Equal(old.seqs, seqs) {
		return old.union, nil
	}
	fresh := &cvdSet{seqs: seqs, union: roaring64.New()}
	more := seqs
	if old != nil && len(old.seqs) < len(seqs) && slices.Equal(old.seqs, seqs[:len(old.seqs)]) {
		fresh.union, more = old.union.Clone(), seqs[len(old.seqs):]
	}
	if err := c.add(ctx, fresh.union, more); err != nil {
		return nil, err
	}
	fresh.union.RunOptimize()
	fresh.bytes = fresh.union.GetSizeInBytes()
	c.keep(cvd, fresh)
	return fresh.union, nil
}

// add reads some sets at a time: one may have megabytes.
func (c *setCache) add(ctx context.Context, union *roaring64.Bitmap, seqs []int64) error {
	for part := range slices.Chunk(seqs, 16) {
		sets, err := c.db.Serials(ctx, part)
		if err != nil {
			return err
		}
		if err := unite(union, sets); err != nil {
			return err
		}
	}
	return nil
}

func (c *setCache) cached(cvd int64) *cvdSet {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.cvds[cvd]
	if s != nil {
		c.turn++
		s.used = c.turn
	}
	return s
}

// keep puts a union in the place of the one before and drops the longest unused while there are too many bytes.
func (c *setCache) keep(cvd int64, s *cvdSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cvds == nil {
		c.cvds = map[int64]*cvdSet{}
	}
	if old := c.cvds[cvd]; old != nil {
		c.bytes -= old.bytes
	}
	c.turn++
	s.used = c.turn
	c.cvds[cvd] = s
	c.bytes += s.bytes
	for c.bytes > setsMax && len(c.cvds) > 1 {
		c.evictLocked()
	}
}

func (c *setCache) evictLocked() {
	var oldest int64
	var found *cvdSet
	for id, s := range c.cvds {
		if found == nil || s.used < found.used {
			oldest, found = id, s
		}
	}
	c.bytes -= found.bytes
	delete(c.cvds, oldest)
}

// forget drops all: sets were made again.
func (c *setCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cvds, c.bytes = nil, 0
}

// unite adds encoded sets to a union.
func unite(union *roaring64.Bitmap, sets [][]byte) error {
	for _, b := range sets {
		s, err := decodeSet(b)
		if err != nil {
			return err
		}
		union.Or(s)
	}
	return nil
}

func decodeSet(b []byte) (*roaring64.Bitmap, error) {
	s := roaring64.New()
	if err := s.UnmarshalBinary(b); err != nil {
		return nil, fmt.Errorf("a set of chunks in the database is damaged: %w", err)
	}
	return s, nil
}

func encodeSet(s *roaring64.Bitmap) ([]byte, error) {
	s.RunOptimize()
	return s.MarshalBinary()
}

func setOf(serials []uint64) ([]byte, error) {
	s := roaring64.New()
	s.AddMany(serials)
	return encodeSet(s)
}

func uniteSets(sets [][]byte) ([]byte, error) {
	union := roaring64.New()
	if err := unite(union, sets); err != nil {
		return nil, err
	}
	return encodeSet(union)
}

// ofSession is what a session is entitled to: what its CVD's snapshots reach, and what it uploaded or proved.
func (s *Service) ofSession(ctx context.Context, sess *postgres.Session) (entitled, error) {
	union, err := s.heldBySession(ctx, sess)
	if err != nil {
		return nil, err
	}
	sets, err := s.db.SetsOfCVD(ctx, sess.CVD)
	if err != nil {
		return nil, err
	}
	e, err := s.unions(ctx, sets)
	return append(e, union), err
}

// heldBySession is what a session uploaded or proved.
func (s *Service) heldBySession(ctx context.Context, sess *postgres.Session) (*roaring64.Bitmap, error) {
	own, err := s.db.SessionSets(ctx, sess.ID)
	if err != nil {
		return nil, err
	}
	if postgres.ManySets(len(own)) {
		if err := s.db.MergeSets(ctx, sess, uniteSets); err != nil {
			return nil, err
		}
	}
	union := roaring64.New()
	return union, unite(union, own)
}

// unions gives the union of each CVD's snapshots; sets are sorted by CVD.
func (s *Service) unions(ctx context.Context, sets []postgres.SnapshotSet) (entitled, error) {
	var e entitled
	for len(sets) > 0 {
		cvd := sets[0].CVD
		var seqs []int64
		for len(sets) > 0 && sets[0].CVD == cvd {
			seqs, sets = append(seqs, sets[0].Seq), sets[1:]
		}
		u, err := s.sets.of(ctx, cvd, seqs)
		if err != nil {
			return nil, err
		}
		e = append(e, u)
	}
	return e, nil
}

// ofDevice is what a device may read by the snapshots that it owns or is assigned.
func (s *Service) ofDevice(ctx context.Context, device int64) (entitled, error) {
	sets, err := s.db.SetsOfDevice(ctx, device)
	if err != nil {
		return nil, err
	}
	return s.unions(ctx, sets)
}

// heldByDevice is what the open sessions of a device uploaded or proved.
func (s *Service) heldByDevice(ctx context.Context, device int64) (entitled, error) {
	sets, err := s.db.DeviceSets(ctx, device)
	if err != nil {
		return nil, err
	}
	union := roaring64.New()
	return entitled{union}, unite(union, sets)
}
