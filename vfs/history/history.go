package history

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/fetch"
)

// Name is what the directory of all snapshots is called.
const Name = ".snapshots"

// Fresh is for how long it is not asked again which snapshots there are.
const Fresh = 10 * time.Second

// Snapshots are a desktop's snapshots, as the server has them.
type Snapshots interface {
	// Snapshots lists them, in any order.
	Snapshots(ctx context.Context) ([]cvd.Snapshot, error)
	// Snapshot finds one by its id, the start of its id, its name, or as "latest".
	// Where there is none of that name, or more than one, the error wraps fs.ErrNotExist.
	Snapshot(ctx context.Context, name string) (cvd.Snapshot, error)
}

// Bounds of what is kept in memory, in bytes of chunks as they were fetched. A
// decoded node takes a few times as much.
const (
	chunksMost = 32 << 20
	nodesMost  = 8 << 20
)

// History is safe for concurrent use. Its calls wait for the network, as demands do.
type History struct {
	list  Snapshots
	sched *fetch.Scheduler

	chunks cache[[]byte]
	nodes  cache[*cvd.Node]
	// Count and Bytes are how many chunks were fetched, and their plain bytes.
	Count, Bytes atomic.Uint64

	// mu guards what is known of snapshots, by their names.
	mu    sync.Mutex
	known map[string]*snapshot
}

// New returns the history that list has, and whose chunks sched brings.
func New(list Snapshots, sched *fetch.Scheduler) *History {
	return &History{
		list: list, sched: sched, known: map[string]*snapshot{},
		chunks: cache[[]byte]{most: chunksMost}, nodes: cache[*cvd.Node]{most: nodesMost},
	}
}

// chunk fetches a chunk, or finds it in memory. The bytes are not to be changed.
func (h *History) chunk(ctx context.Context, id chunk.ID) ([]byte, error) {
	if plain, ok := h.chunks.get(id); ok {
		return plain, nil
	}
	plain, err := h.sched.Demand(ctx, id)
	if err == nil {
		h.chunks.put(id, plain, len(plain))
		h.Count.Add(1)
		h.Bytes.Add(uint64(len(plain)))
	}
	return plain, err
}

// node fetches a directory's node, or finds it in memory.
func (h *History) node(ctx context.Context, id chunk.ID) (*cvd.Node, error) {
	if n, ok := h.nodes.get(id); ok {
		return n, nil
	}
	plain, err := h.chunk(ctx, id)
	if err != nil {
		return nil, err
	}
	n, err := cvd.DecodeNode(plain)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", id, err)
	}
	h.nodes.put(id, n, len(plain))
	return n, nil
}

// source is History.chunk as a chunk.Source.
type source struct{ *History }

// Fetch implements chunk.Source.
func (s source) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	for i, id := range ids {
		plain, err := s.chunk(ctx, id)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := got(i, plain, err); err != nil {
			return err
		}
	}
	return nil
}
