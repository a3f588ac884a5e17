package scan

import (
	"container/list"
	"context"
	"sync"
)

// aheadMax is how many entries may be listed ahead of the walker.
const aheadMax = 32 << 10

// listed is a node's state in the frontier.
type listed struct {
	elem    *list.Element
	running bool
}

// frontier is the directories that are known and not listed, in canonical order. Listers take them from the front, the
// walker whichever it needs next.
type frontier struct {
	// mu guards what follows, and the place of each node.
	mu      sync.Mutex
	wake    sync.Cond
	pending list.List
	ahead   int
	closed  bool
}

func newFrontier() *frontier {
	f := &frontier{}
	f.wake.L = &f.mu
	return f
}

// begin takes the root, which is listed.
func (f *frontier) begin(n *node) {
	f.mu.Lock()
	n.place = listed{f.pending.PushFront(n), true}
	f.mu.Unlock()
	f.done(n)
}

// run lists directories until the frontier is closed.
func (f *frontier) run(l *lister) {
	for n := f.next(); n != nil; n = f.next() {
		l.list(n)
		f.done(n)
	}
}

func (f *frontier) next() *node {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.closed {
		if f.ahead < aheadMax {
			for e := f.pending.Front(); e != nil; e = e.Next() {
				if n := e.Value.(*node); !n.place.running {
					n.place.running = true
					return n
				}
			}
		}
		f.wake.Wait()
	}
	return nil
}

// done puts the directories in n in n's place.
func (f *frontier) done(n *node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := n.place.elem; e != nil {
		f.insert(n, e)
		f.pending.Remove(e)
		n.place.elem = nil
	}
	f.ahead += len(n.ents)
	close(n.ready)
	f.wake.Broadcast()
}

func (f *frontier) insert(n *node, before *list.Element) {
	for i := range n.ents {
		if kid := n.ents[i].kid; kid != nil {
			kid.place.elem = f.pending.InsertBefore(kid, before)
		}
	}
}

// need returns when n is listed. The walker does it itself if nobody has begun.
func (f *frontier) need(ctx context.Context, n *node, l *lister) error {
	f.mu.Lock()
	mine := !n.place.running
	n.place.running = true
	f.mu.Unlock()
	if mine {
		l.list(n)
		f.done(n)
		return nil
	}
	select {
	case <-n.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// more looks at the next window of n, whose entries the walker is through with.
func (f *frontier) more(n *node, l *lister) bool {
	f.mu.Lock()
	f.ahead -= len(n.ents)
	f.wake.Broadcast()
	f.mu.Unlock()
	clear(n.ents)
	n.ents = n.ents[:0]
	if len(n.rest) == 0 {
		return false
	}
	l.window(n)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead += len(n.ents)
	mark := f.pending.PushFront(nil)
	f.insert(n, mark)
	f.pending.Remove(mark)
	f.wake.Broadcast()
	return true
}

func (f *frontier) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.wake.Broadcast()
}
