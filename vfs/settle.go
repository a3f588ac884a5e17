package vfs

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
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

// Run settles what was fetched, every few seconds, until ctx ends.
func (f *FS) Run(ctx context.Context) error {
	t := time.NewTicker(lateTime)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if err := f.Settle(); err != nil {
				return err
			}
		}
	}
}

// Settle makes everything fetched so far durable, and native what is all here.
func (f *FS) Settle() error {
	nodes := f.late.take()
	if len(nodes) == 0 {
		return nil
	}
	var errs []error
	synced := f.store.Sync()
	for n := range nodes {
		n.mu.Lock()
		if synced == nil {
			errs = append(errs, f.settledLocked(n))
		} else {
			f.defers(n, 0)
		}
		n.mu.Unlock()
		f.Forget(n, 1)
	}
	return errors.Join(append(errs, synced)...)
}

// settledLocked records what is durable now. Called under n.mu.
func (f *FS) settledLocked(n *Node) error {
	c := n.file
	switch c.state {
	case ranged:
		return c.part.Settle()
	case unsettled:
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
	n.file = nativeFile
	return err
}

// settleLocked makes one unsettled file native, because it is to be written. Called under n.mu.
func (f *FS) settleLocked(n *Node) error {
	if n.file.state != unsettled {
		return nil
	}
	if err := n.file.file.SyncData(); err != nil {
		return err
	}
	return f.nativeLocked(n)
}
