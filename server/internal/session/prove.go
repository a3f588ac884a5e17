package session

import (
	"context"
	"crypto/subtle"
	"fmt"
	"runtime"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/errgroup"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/wire"
)

// Prove gives challenges for the ids of req, or checks its proofs and notes what
// was proved. Refused are the ids that must be uploaded. What the session holds already is not read again.
func (s *Service) Prove(ctx context.Context, device int64, id string, req wire.ProveRequest) (wire.ProveReply, error) {
	if len(req.IDs)+len(req.Proofs) > wire.BatchMax {
		return wire.ProveReply{}, fmt.Errorf("%w: more than %d ids and proofs", wire.ErrInvalid, wire.BatchMax)
	}
	if err := once(&req); err != nil {
		return wire.ProveReply{}, err
	}
	sess, err := s.use(ctx, device, id)
	if err != nil {
		return wire.ProveReply{}, err
	}
	var reply wire.ProveReply
	if len(req.IDs) > 0 {
		err = s.challenge(ctx, sess, req.IDs, &reply)
	}
	if err == nil && len(req.Proofs) > 0 {
		err = s.check(ctx, sess, req.Proofs, &reply)
	}
	return reply, err
}

// once refuses what stands twice among the ids or the proofs.
func once(req *wire.ProveRequest) error {
	seen := make(map[chunk.ID]bool, max(len(req.IDs), len(req.Proofs)))
	note := func(id chunk.ID) error {
		if seen[id] {
			return fmt.Errorf("%w: chunk %s stands twice in one request", wire.ErrInvalid, id)
		}
		seen[id] = true
		return nil
	}
	for _, id := range req.IDs {
		if err := note(id); err != nil {
			return err
		}
	}
	clear(seen)
	for i := range req.Proofs {
		if err := note(req.Proofs[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// challenge derives the challenges of a session from its secret, so that any
// server can check them and none can be used in another session. They are over the whole
// chunk: a part would let somebody in who knows all but a few bytes.
func (s *Service) challenge(ctx context.Context, sess *postgres.Session, ids []chunk.ID, reply *wire.ProveReply) error {
	chunks, err := s.db.Chunks(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		c, ok := chunks[id]
		if !ok || c.Absent {
			reply.Refused = append(reply.Refused, id)
			continue
		}
		reply.Challenges = append(reply.Challenges, wire.Challenge{ID: id, Key: challengeKey(sess, id), Length: c.Plain})
	}
	return nil
}

func challengeKey(sess *postgres.Session, id chunk.ID) (key [32]byte) {
	h, err := blake3.NewKeyed(sess.Secret[:])
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	_, _ = h.Write([]byte("looming: challenge for chunk\x00")) // a hash never fails
	_, _ = h.Write(id[:])
	h.Sum(key[:0])
	return key
}

// mac is the answer to a challenge over a whole chunk.
func mac(key [32]byte, plain []byte) (sum chunk.ID) {
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	_, _ = h.Write(plain) // a hash never fails
	h.Sum(sum[:0])
	return sum
}

// proofBytes is how many plain bytes the chunks of one request may have that must be read for it.
const proofBytes = 2 * wire.PackMax

func (s *Service) check(ctx context.Context, sess *postgres.Session, proofs []wire.Proof, reply *wire.ProveReply) error {
	proofs, ids, chunks, err := s.toRead(ctx, sess, proofs)
	if err != nil || len(proofs) == 0 {
		return err
	}
	good := make([]bool, len(proofs))
	err = s.plain(ctx, ids, chunks, func(i int, plain []byte, err error) error {
		want := mac(challengeKey(sess, ids[i]), plain)
		good[i] = err == nil && subtle.ConstantTimeCompare(want[:], proofs[i].MAC[:]) == 1
		return nil
	})
	if err != nil {
		return err
	}
	var serials []uint64
	for i, ok := range good {
		if ok {
			serials = append(serials, chunks[ids[i]].Serial)
		} else {
			reply.Refused = append(reply.Refused, ids[i])
		}
	}
	s.stats.proved.Add(uint64(len(serials)))
	s.stats.refused.Add(uint64(len(proofs) - len(serials)))
	if len(serials) == 0 {
		return nil
	}
	set, err := setOf(serials)
	if err != nil {
		return err
	}
	return s.db.AddSet(ctx, sess, set)
}

// toRead leaves the proofs of what the session does not hold yet, and locates their chunks.
func (s *Service) toRead(ctx context.Context, sess *postgres.Session, proofs []wire.Proof) (
	rest []wire.Proof, ids []chunk.ID, chunks map[chunk.ID]postgres.Chunk, err error,
) {
	ids = make([]chunk.ID, len(proofs))
	for i := range proofs {
		ids[i] = proofs[i].ID
	}
	if chunks, err = s.db.Chunks(ctx, ids); err != nil {
		return nil, nil, nil, err
	}
	own, err := s.heldBySession(ctx, sess)
	if err != nil {
		return nil, nil, nil, err
	}
	s.where.putAll(chunks)
	ids = ids[:0]
	var size uint64
	for i := range proofs {
		c, ok := chunks[proofs[i].ID]
		if ok && !c.Absent && own.Contains(c.Serial) {
			continue
		}
		if size += uint64(c.Plain); size > proofBytes {
			return nil, nil, nil, fmt.Errorf("%w: the proofs are over more than %d MiB of plain bytes: send fewer at once", wire.ErrInvalid, proofBytes>>20)
		}
		rest, ids = append(rest, proofs[i]), append(ids, proofs[i].ID)
	}
	return rest, ids, chunks, nil
}

// plain reads and decodes chunks and calls got for each, from several
// goroutines, with its verified bytes, valid until got returns, or an error.
func (s *Service) plain(ctx context.Context, ids []chunk.ID, chunks map[chunk.ID]postgres.Chunk,
	got func(i int, plain []byte, err error) error,
) error {
	w := windowPool.Get().(*window)
	defer windowPool.Put(w)
	f := fetch{s: s, ids: ids, chunks: chunks}
	for start := 0; f.fill(w, windowBytes); start += len(w.ids) {
		if err := w.read(ctx, s); err != nil {
			return err
		}
		if err := w.decode(ctx, s, func(i int, plain []byte, err error) error { return got(start+i, plain, err) }); err != nil {
			return err
		}
	}
	return nil
}

// decode decodes a window's frames side by side.
func (w *window) decode(ctx context.Context, s *Service, got func(i int, plain []byte, err error) error) error {
	g, ctx := errgroup.WithContext(ctx)
	n := runtime.GOMAXPROCS(0)
	for part := range n {
		g.Go(func() error {
			buf := plainPool.Get().(*[]byte)
			defer plainPool.Put(buf)
			for i := part; i < len(w.ids); i += n {
				plain, err := w.plain(ctx, s, i, (*buf)[:0])
				if err := got(i, plain, err); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

func (w *window) plain(ctx context.Context, s *Service, i int, buf []byte) ([]byte, error) {
	if w.place[i] < 0 {
		return nil, fmt.Errorf("chunk %s: %w", w.ids[i], chunk.ErrNotFound)
	}
	r := &w.records[w.place[i]]
	if r.Err != nil {
		return nil, r.Err
	}
	plain, err := chunk.Decode(buf, r.Frame, r.ID)
	if err != nil {
		r.Err = err
		s.damaged(ctx, r)
		return nil, err
	}
	return plain, nil
}
