package vfs

import (
	"context"
	"sync"
)

// gate is what every change of the desktop passes, so that a pivot can hold
// changes back. The zero value is open.
type gate struct {
	mu     sync.Mutex
	inside int
	// shut is closed when the gate opens again; nil while it is open.
	shut chan struct{}
	// empty is closed when nobody is inside a gate that is shut.
	empty chan struct{}
}

// enter waits until the gate is open.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		if g.shut == nil {
			g.inside++
			g.mu.Unlock()
			return nil
		}
		shut := g.shut
		g.mu.Unlock()
		select {
		case <-shut:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// Quiesce returns when no change is under way and none can begin: opening for
// writing, and all that changes names or attributes, waits until Resume. If ctx
// ends first nobody is held back.
func (f *FS) Quiesce(ctx context.Context) error {
	g := &f.gate
	g.mu.Lock()
	g.shut = make(chan struct{})
	empty := make(chan struct{})
	if g.inside == 0 {
		close(empty)
	} else {
		g.empty = empty
	}
	g.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		f.Resume()
		return ctx.Err()
	}
}

// Resume undoes Quiesce.
func (f *FS) Resume() {
	f.gate.mu.Lock()
	defer f.gate.mu.Unlock()
	if f.gate.shut != nil {
		close(f.gate.shut)
	}
	f.gate.shut, f.gate.empty = nil, nil
}
