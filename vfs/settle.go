package vfs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
)

// settler holds the files whose bytes are here but not yet durable, so that one
// sync of the file system serves many of them.
type settler struct {
	mu    sync.Mutex
	nodes map[*Node]struct{}
	bytes uint64
}

// Bounds of what waits to be settled: files (each holds a descriptor) and bytes.
const (
	lateFiles = 2048
	lateBytes = 256 << 20
	lateTime  = 2 * time.Second
)

func (s *settler) add(n *Node, bytes uint64) (fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nodes == nil {
		s.nodes = map[*Node]struct{}{}
	}
	_, known := s.nodes[n]
	s.nodes[n] = struct{}{}
	s.bytes += bytes
	return !known
}

// defers has n settled later, and holds a reference to it until then.
func (f *FS) defers(n *Node, bytes uint64) {
	f.table.Lock()
	defer f.table.Unlock()
	if f.late.add(n, bytes) {
		n.refs++
	}
}

func (s *settler) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.nodes) >= lateFiles || s.bytes >= lateBytes
}

func (s *settler) take() map[*Node]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes := s.nodes
	s.nodes, s.bytes = nil, 0
	return nodes
}

// Run settles what was fetched, every few seconds, until ctx ends. Where the disk
// is full or fails it says so and tries again, ever less often: nothing is native
// before it is durable, so nothing is lost by waiting.
func (f *FS) Run(ctx context.Context) error {
	pause := lateTime
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		if err := f.Settle(); err != nil {
			pause = min(2*pause, time.Minute)
			slog.Error("keeping what was fetched failed, and is tried again", "in", pause, "err", err)
		} else {
			pause = lateTime
		}
	}
}

// begun is what a sync that is to come will cover of a file.
type begun struct {
	mark  int
	whole bool
}

// Settle makes everything fetched so far durable, and native what is all here.
func (f *FS) Settle() error {
	f.settling.Lock() // who finds nothing to settle must not be early: another may be at it
	defer f.settling.Unlock()
	nodes := f.late.take()
	if len(nodes) == 0 {
		return nil
	}
	covers := make(map[*Node]begun, len(nodes))
	for n := range nodes {
		n.mu.Lock()
		covers[n] = n.file.begin()
		n.mu.Unlock()
	}
	errs := []error{f.store.Sync()}
	for n := range nodes {
		n.mu.Lock()
		err := errs[0]
		if n.typ == cvd.Dir {
			err = f.settledDir(n, err)
			if err != nil && errs[0] == nil {
				errs = append(errs, err)
			}
		} else if err != nil {
			f.lostLocked(n)
		} else if err = f.settledLocked(n, covers[n]); err != nil {
			errs = append(errs, err)
		}
		if err != nil {
			f.defers(n, 0)
		}
		n.mu.Unlock()
		f.Forget(n, 1)
	}
	return errors.Join(errs...)
}

// settledDir makes a listed directory native after a sync, or has it repaired
// after one that failed.
func (f *FS) settledDir(n *Node, failed error) error {
	f.names.RLock()
	defer f.names.RUnlock()
	d, err := f.dir(n)
	if err != nil {
		return err
	}
	if failed == nil {
		if err := f.store.ClearDir(d); err != nil {
			return err
		}
		n.loose.Store(false)
		return nil
	}
	m, ok, err := f.store.MarkOf(backing.Ref{Dir: d})
	if err == nil && ok {
		err = f.store.SuspectDir(d, &m)
	}
	n.listed.Store(false)
	return err
}

func (c *content) begin() (b begun) {
	if c.part != nil {
		b.mark = c.part.Begin()
	}
	b.whole = c.state == unsettled
	return b
}

// lostLocked has fetched anew what a failed sync may have lost. Called under n.mu.
func (f *FS) lostLocked(n *Node) {
	c := n.file
	switch {
	case c.state != unsettled && c.state != ranged:
	case c.part != nil:
		c.part.Lost()
		c.state = ranged
		f.completeLocked(n)
	default:
		_ = c.file.Close()
		c.file, c.state = nil, single
	}
}

// settledLocked records what a sync made durable. Called under n.mu.
func (f *FS) settledLocked(n *Node, b begun) error {
	c := n.file
	switch {
	case c.state == ranged:
		return c.part.Settle(b.mark)
	case c.state == unsettled && b.whole:
		return f.nativeLocked(n)
	}
	return nil
}

// nativeLocked takes the mark from a file whose bytes are durable, or that has
// none that are not its user's. Called under n.mu.
func (f *FS) nativeLocked(n *Node) error {
	c := n.file
	if err := f.store.ClearFile(c.file); err != nil {
		return err
	}
	atomic.AddUint64(&f.stats.NativeFiles, 1)
	atomic.AddUint64(&f.stats.NativeBytes, c.mark.Size)
	var err error
	if c.part != nil {
		err = errors.Join(c.part.Close(), f.store.RemovePartial(c.mark.Tag))
	}
	err = errors.Join(err, c.file.Close())
	n.isNative()
	return err
}

// settleLocked makes one unsettled file native, because it is to be written. Called under n.mu.
func (f *FS) settleLocked(n *Node) error {
	if n.file.state != unsettled {
		return nil
	}
	if err := n.file.file.SyncData(); err != nil {
		f.lostLocked(n)
		return err
	}
	return f.nativeLocked(n)
}
