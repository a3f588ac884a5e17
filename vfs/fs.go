package vfs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/fetch"
	"github.com/looming-project/looming/vfs/history"
	"github.com/looming-project/looming/vfs/ledger"
)

// Options of an FS.
type Options struct {
	// Backing is the backing directory, Side the state directory beside it.
	Backing, Side string
	// Demand, Ahead and Bulk give chunks, over connections of their own: to whoever
	// waits, for what he will want next, and in the background. Ahead is Demand where it is nil.
	Demand, Ahead, Bulk chunk.Source
	// Near, if set, is what this disk holds itself, which is asked first; it may be a Wholes.
	Near chunk.Source
	// Root is the desktop. It is read only where the backing directory is new.
	Root cvd.Root
	// Deadline is how long a read waits for a source out of reach; default 30 s.
	Deadline time.Duration
	// History, if set, is shown in the top directory as history.Name.
	History history.Snapshots
	// Reserve is how many bytes of the disk the background leaves free; default a
	// fiftieth of it, at most 1 GiB.
	Reserve uint64
	// Used, if set, is told of what is used; it must not block.
	Used func(Use)
	// Ledger, if set, is where it is written down what a host's kernel knows. What
	// another process wrote there is taken over by Open.
	Ledger *ledger.Ledger
	// Nameless, if set, keeps entries that have no name beyond the life of this process.
	Nameless Keeper
}

// FS is a desktop over a backing directory. Its methods are safe for concurrent use.
type FS struct {
	o     Options
	store *backing.Store
	sched *fetch.Scheduler
	// near is Options.Near, for the background.
	near *near
	root *Node
	// past is the desktop's history, nil if it is not shown.
	past   *history.History
	hidden sync.Once

	settling sync.Mutex
	names    sync.RWMutex
	gate     gate
	// dirsOpen is how many nodes hold a directory's descriptor.
	dirsOpen atomic.Int64

	table  sync.Mutex
	byIno  map[uint64]*Node
	byID   map[uint64]*Node
	lastID uint64

	late  settler
	lists lists

	ahead *ahead

	stats  counters
	missMu sync.Mutex
	misses []Miss
}

// Stats counts what was brought, in plain bytes.
type Stats struct {
	// DemandBytes and DemandCount are what somebody waited for of what came over the network, BulkBytes the rest of it.
	DemandBytes, DemandCount, BulkBytes uint64
	// NearBytes are what this disk had itself.
	NearBytes uint64
	// NativeFiles and NativeBytes are what became native in this run.
	NativeFiles, NativeBytes uint64
	// Listed counts directories listed in this run.
	Listed uint64
}

// counters are Stats while they are counted, with atomic loads. BulkBytes has what near gave in it.
type counters struct {
	Stats
	// near is what somebody waited for and Options.Near had, and what was cloned.
	near atomic.Uint64
}

// Miss is one read or listing that waited for the network.
type Miss struct {
	Path  string
	Bytes uint64
	Wait  time.Duration
	At    time.Time
}

// missMax is how many misses are kept.
const missMax = 20

// Open opens the desktop in o.Backing, which becomes a placeholder for o.Root if it is new.
func Open(ctx context.Context, o Options) (*FS, error) {
	store, err := backing.Open(o.Backing, o.Side)
	if err != nil {
		return nil, err
	}
	fo := fetch.Options{Demand: o.Demand, Ahead: o.Ahead, Bulk: o.Bulk, Deadline: o.Deadline}
	nearby := &near{Source: o.Near}
	if o.Near != nil {
		fo.Near = nearby
	}
	f := &FS{
		o: o, store: store, near: nearby,
		sched: fetch.New(fo),
		byIno: map[uint64]*Node{}, byID: map[uint64]*Node{}, lastID: 1,
	}
	if o.History != nil {
		f.past = history.New(o.History, f.sched)
	}
	f.ahead = newAhead(f)
	if err := f.open(ctx); err != nil {
		f.ahead.close()
		return nil, errors.Join(err, store.Close())
	}
	return f, nil
}

func (f *FS) open(ctx context.Context) error {
	begun, err := f.store.Begun(f.o.Root)
	if err != nil {
		return err
	}
	if !begun {
		top, err := cvd.ReadRoot(ctx, f.sched.Demanded(), f.o.Root)
		if err != nil {
			return fmt.Errorf("reading the desktop: %w", err)
		}
		if err := f.store.Begin(f.o.Root, top); err != nil {
			return err
		}
	}
	a, err := f.store.Top.Stat("")
	if err != nil {
		return err
	}
	f.root = &Node{id: 1, ino: a.Ino, typ: cvd.Dir, refs: 1, dir: f.store.Top, file: unknownFile}
	f.byIno[a.Ino], f.byID[1] = f.root, f.root
	return f.takeOver()
}

// Close settles what was fetched and lets go of the disk. No call may be under way.
func (f *FS) Close() error {
	f.ahead.close()
	err := f.Settle()
	f.table.Lock()
	nodes := f.byID
	f.byID = map[uint64]*Node{}
	f.table.Unlock()
	for _, n := range nodes {
		if n != f.root {
			n.release(f.store)
		}
	}
	return errors.Join(err, f.store.Close())
}

// Sync makes everything that was done in the backing directory durable.
func (f *FS) Sync() error { return f.store.Sync() }

// Root is the top of the desktop, node 1.
func (f *FS) Root() *Node { return f.root }

// Offline says why the source is out of reach, or nil.
func (f *FS) Offline() error { return f.sched.Offline() }

// Waiting is how many reads wait for the network.
func (f *FS) Waiting() int { return f.sched.Waiting() }

// Quiet returns when no read waits for the network.
func (f *FS) Quiet(ctx context.Context) error { return f.sched.Quiet(ctx) }

// Stats returns the counters.
func (f *FS) Stats() Stats {
	near, bulk := f.near.bytes.Load(), atomic.LoadUint64(&f.stats.BulkBytes)
	s := Stats{
		DemandBytes: atomic.LoadUint64(&f.stats.DemandBytes),
		DemandCount: atomic.LoadUint64(&f.stats.DemandCount),
		BulkBytes:   bulk - min(bulk, near), // lists of chunks are in near alone
		NearBytes:   near + f.stats.near.Load(),
		NativeFiles: atomic.LoadUint64(&f.stats.NativeFiles),
		NativeBytes: atomic.LoadUint64(&f.stats.NativeBytes),
		Listed:      atomic.LoadUint64(&f.stats.Listed),
	}
	if f.past != nil {
		s.DemandBytes += f.past.Bytes.Load()
		s.DemandCount += f.past.Count.Load()
	}
	return s
}

// Misses returns the latest reads that waited, newest first.
func (f *FS) Misses() []Miss {
	f.missMu.Lock()
	defer f.missMu.Unlock()
	out := make([]Miss, len(f.misses))
	for i, m := range f.misses {
		out[len(out)-1-i] = m
	}
	return out
}

// waited notes a demand for n that began at start.
func (f *FS) waited(n *Node, bytes uint64, start time.Time) {
	atomic.AddUint64(&f.stats.DemandCount, 1)
	atomic.AddUint64(&f.stats.DemandBytes, bytes)
	m := Miss{Path: f.Path(n), Bytes: bytes, Wait: time.Since(start), At: start}
	f.missMu.Lock()
	if len(f.misses) == missMax {
		f.misses = append(f.misses[:0], f.misses[1:]...)
	}
	f.misses = append(f.misses, m)
	f.missMu.Unlock()
}
