package session

import (
	"context"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// Bounds of what a walk has in its hands at once.
const (
	batchNodes = 512
	batchBytes = 1 << 20
	batchRefs  = 8192
	batchFiles = 500
)

// walk follows a tree from its root and makes the set of all that it reaches.
// It holds a stack of directories to come, depth first, and for each directory
// seen its serial and sums: some 60 bytes for each, and nothing for each file.
type walk struct {
	s        *Service
	cvd      int64
	sess     *postgres.Session // nil if there is none to renew
	entitled entitlement
	set      *roaring64.Bitmap
	top      cvd.Sums
	stored   uint64
	missing  []chunk.ID // the first missingMax
	renewed  time.Time

	stack []todo
	seen  map[uint64]cvd.Sums // by serial: nodes that were followed
	lists []*listed
	refs  []ref
	known map[chunk.ID]fileSum // files above chunk.WholeMax that were followed
	files []postgres.File
}

// todo is a node to be read, and what was said about it where it was named.
type todo struct {
	id    chunk.ID
	sums  cvd.Sums
	first string // of a part of a split directory
	level int    // of a part: one less than its parent's; -1 for a directory
}

// ref is a chunk of bytes to be looked up; file gets its serial too, where it belongs to a large one.
type ref struct {
	cvd.Ref
	file *large
}

// large is a file above chunk.WholeMax whose chunks are being looked up; left counts those to come.
type large struct {
	row  postgres.File
	set  *roaring64.Bitmap
	left int
}

// listed is a large file, or a stream, whose list chunks are to be read.
type listed struct {
	lists []cvd.Ref
	file  *large
}

// fileSum tells whether a file seen again has the same content.
type fileSum [16]byte

func newWalk(s *Service, id int64, sess *postgres.Session, e entitlement) *walk {
	return &walk{
		s: s, cvd: id, sess: sess, entitled: e, set: roaring64.New(), renewed: time.Now(),
		seen: map[uint64]cvd.Sums{}, known: map[chunk.ID]fileSum{},
	}
}

func (w *walk) run(ctx context.Context, root cvd.Root) error {
	if err := w.root(ctx, chunk.ID(root)); err != nil {
		return err
	}
	// A refusal need not name all that lacks; a set that is made again must have all that is there.
	for len(w.stack) > 0 && (w.sess == nil || len(w.missing) < missingMax) {
		if err := w.step(ctx); err != nil {
			return err
		}
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	return w.putFiles(ctx)
}

// step follows the nodes on top of the stack.
func (w *walk) step(ctx context.Context) error {
	if err := w.renew(ctx); err != nil {
		return err
	}
	n := min(len(w.stack), batchNodes)
	batch := append([]todo(nil), w.stack[len(w.stack)-n:]...)
	w.stack = w.stack[:len(w.stack)-n]
	batch, chunks, err := w.open(ctx, batch)
	if err != nil {
		return err
	}
	nodes, err := w.nodes(ctx, batch, chunks)
	if err != nil {
		return err
	}
	for i, node := range nodes {
		if node == nil {
			w.miss(batch[i].id)
			continue
		}
		if err := w.node(&batch[i], node); err != nil {
			return err
		}
	}
	if len(w.refs) >= batchRefs || len(w.lists) > 0 {
		return w.flush(ctx)
	}
	return nil
}

func (w *walk) renew(ctx context.Context) error {
	if w.sess == nil || time.Since(w.renewed) < w.s.opts.Lease/4 {
		return ctx.Err()
	}
	w.renewed = time.Now()
	return w.s.db.RenewSession(ctx, w.sess)
}

// root reads the root node.
func (w *walk) root(ctx context.Context, id chunk.ID) error {
	var top *cvd.Entry
	err := w.one(ctx, id, func(_ *postgres.Chunk, plain []byte) (err error) {
		top, err = cvd.DecodeRoot(plain)
		return err
	})
	if err != nil || len(w.missing) > 0 {
		return err
	}
	w.top = top.Sums
	w.stack = append(w.stack, todo{id: top.Tree, sums: top.Sums, level: -1})
	return w.streams(top)
}

// one reads a single chunk of the tree; a missing one is noted.
func (w *walk) one(ctx context.Context, id chunk.ID, decode func(c *postgres.Chunk, plain []byte) error) error {
	chunks, err := w.s.locate(ctx, []chunk.ID{id})
	if err != nil {
		return err
	}
	c, ok := w.has(chunks, id)
	if !ok {
		w.miss(id)
		return nil
	}
	w.add(c)
	return w.s.plain(ctx, []chunk.ID{id}, chunks, func(_ int, plain []byte, err error) error {
		if err != nil {
			w.miss(id)
			return nil
		}
		return invalid(id, decode(&c, plain))
	})
}

func invalid(id chunk.ID, err error) error {
	if err != nil {
		return fmt.Errorf("%w: chunk %s of the tree: %w", wire.ErrInvalid, id, err)
	}
	return nil
}

// has says whether a chunk is there and the session entitled to it.
func (w *walk) has(chunks map[chunk.ID]postgres.Chunk, id chunk.ID) (postgres.Chunk, bool) {
	c, ok := chunks[id]
	return c, ok && w.entitled.has(c.Serial)
}

func (w *walk) miss(id chunk.ID) {
	if len(w.missing) < missingMax {
		w.missing = append(w.missing, id)
	}
}

func (w *walk) add(c postgres.Chunk) {
	if w.set.CheckedAdd(c.Serial) {
		w.stored += uint64(c.Length)
	}
}

// open locates a batch of nodes and leaves those to be read: neither missing nor followed before. What is too much
// to be read at once goes back to the stack.
func (w *walk) open(ctx context.Context, batch []todo) ([]todo, map[chunk.ID]postgres.Chunk, error) {
	ids := make([]chunk.ID, len(batch))
	for i := range batch {
		ids[i] = batch[i].id
	}
	chunks, err := w.locate(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	var fresh []todo
	size := 0
	for i := range batch {
		t := &batch[i]
		c, ok := w.has(chunks, t.id)
		if !ok {
			w.miss(t.id)
			continue
		}
		if sums, again := w.seen[c.Serial]; again {
			if sums != t.sums {
				return nil, nil, invalid(t.id, fmt.Errorf("two sums are given for one directory"))
			}
			continue
		}
		if size += int(c.Plain); size > batchBytes && len(fresh) > 0 {
			w.stack = append(w.stack, *t)
			continue
		}
		w.add(c)
		w.seen[c.Serial] = t.sums
		fresh = append(fresh, *t)
	}
	return fresh, chunks, nil
}

// locate is Service.locate with a second look at what the session seems not to be entitled to: the cache may know
// a chunk by a serial that is gone.
func (w *walk) locate(ctx context.Context, ids []chunk.ID) (map[chunk.ID]postgres.Chunk, error) {
	chunks, err := w.s.locate(ctx, ids)
	if err != nil {
		return nil, err
	}
	doubt := outside(chunks, w.entitled)
	if len(doubt) == 0 {
		return chunks, nil
	}
	fresh, err := w.s.db.Chunks(ctx, doubt)
	for id, c := range fresh {
		chunks[id] = c
		w.s.where.put(id, c)
	}
	return chunks, err
}

// nodes reads and decodes; a nil node could not be read.
func (w *walk) nodes(ctx context.Context, batch []todo, chunks map[chunk.ID]postgres.Chunk) ([]*cvd.Node, error) {
	ids := make([]chunk.ID, len(batch))
	for i := range batch {
		ids[i] = batch[i].id
	}
	nodes := make([]*cvd.Node, len(batch))
	err := w.s.plain(ctx, ids, chunks, func(i int, plain []byte, err error) error {
		if err != nil {
			return nil // stays nil: missing
		}
		// The node outlives the buffer, and aliases its bytes.
		node, err := cvd.DecodeNode(append([]byte(nil), plain...))
		nodes[i] = node
		return invalid(ids[i], err)
	})
	return nodes, err
}
