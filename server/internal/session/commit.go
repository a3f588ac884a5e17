package session

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// missingMax is how many missing chunks a refusal names, hostMax the longest name of a host in bytes.
const (
	missingMax = 1000
	hostMax    = 255
)

// Commit ends a session with a snapshot of the tree at req.Root. Everything that
// the root reaches must be there, and the session entitled to it; otherwise the
// error is a *wire.Problem that wraps wire.ErrIncomplete and names what lacks.
// A commit that is repeated because its answer was lost gets the same answer.
func (s *Service) Commit(ctx context.Context, device int64, id string, req wire.CommitRequest) (cvd.Snapshot, error) {
	sess, err := s.use(ctx, device, id)
	if errors.Is(err, wire.ErrExpired) && sess != nil && !sess.Committed.IsZero() {
		return s.committed(ctx, sess, req, err)
	}
	if err != nil {
		return cvd.Snapshot{}, err
	}
	c, set, err := s.complete(ctx, sess, req.Root)
	if err != nil {
		return cvd.Snapshot{}, err
	}
	fill(&c.Snap, &req)
	err = s.db.CommitSnapshot(ctx, sess, c, set.Contains)
	if errors.Is(err, postgres.ErrDamaged) {
		return cvd.Snapshot{}, s.damagedIn(ctx, set)
	}
	if err != nil {
		return cvd.Snapshot{}, err
	}
	s.stats.committed.Add(1)
	return c.Snap, nil
}

func fill(snap *cvd.Snapshot, req *wire.CommitRequest) {
	snap.ID, snap.Root, snap.Host = cvd.NewSnapshotID(), req.Root, clean(req.Host)
	snap.Unreadable = min(req.Unreadable, math.MaxInt64)
	if snap.Taken = req.Taken.UTC().Truncate(time.Microsecond); req.Taken.IsZero() {
		snap.Taken = time.Now().UTC().Truncate(time.Microsecond)
	}
}

// clean makes a host's name fit for the database and a page.
func clean(host string) string {
	host = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(host[:min(len(host), hostMax)], ""))
	for len(host) > hostMax {
		_, n := utf8.DecodeLastRuneInString(host)
		host = host[:len(host)-n]
	}
	return host
}

// committed answers a commit that has happened already.
func (s *Service) committed(ctx context.Context, sess *postgres.Session, req wire.CommitRequest, expired error) (cvd.Snapshot, error) {
	snap, err := s.db.CommittedSnapshot(ctx, sess.Committed)
	if err != nil || snap.Root != req.Root {
		return cvd.Snapshot{}, expired
	}
	return snap, nil
}

// complete finds out what a root reaches, or that not all of it is there. A root that the CVD has in a snapshot
// already is not walked again.
func (s *Service) complete(ctx context.Context, sess *postgres.Session, root cvd.Root) (*postgres.Committed, *roaring64.Bitmap, error) {
	same, err := s.db.SameRoot(ctx, sess.CVD, root)
	if err == nil {
		set, err := decodeSet(same.Serials)
		return &same, set, err
	}
	if !errors.Is(err, wire.ErrNotFound) {
		return nil, nil, err
	}
	e, err := s.ofSession(ctx, sess)
	if err != nil {
		return nil, nil, err
	}
	w := newWalk(s, sess.CVD, sess, e)
	if err := w.run(ctx, root); err != nil {
		return nil, nil, err
	}
	if len(w.missing) > 0 {
		s.stats.incomplete.Add(1)
		return nil, nil, incomplete(w.missing)
	}
	c := &postgres.Committed{Stored: w.stored}
	c.Snap.Files, c.Snap.Dirs, c.Snap.Bytes = w.top.Files, w.top.Dirs, w.top.Bytes
	c.Serials, err = encodeSet(w.set)
	return c, w.set, err
}

func incomplete(missing []chunk.ID) error {
	p := wire.ProblemOf(fmt.Errorf("%w: the tree lacks %d chunks or more: upload them and commit again", wire.ErrIncomplete, len(missing)))
	p.Missing = missing
	return p
}

// damagedIn names the damaged chunks of a set, which an upload heals.
func (s *Service) damagedIn(ctx context.Context, set *roaring64.Bitmap) error {
	damaged, err := s.db.Damaged(ctx)
	if err != nil {
		return err
	}
	var missing []chunk.ID
	for serial, id := range damaged {
		if set.Contains(serial) && len(missing) < missingMax {
			missing = append(missing, id)
		}
	}
	s.stats.incomplete.Add(1)
	return incomplete(missing)
}
