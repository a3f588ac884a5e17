//go:build windows || cgo

package winfsp

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/looming-project/looming/vfs"
	"github.com/winfsp/cgofuse/fuse"
)

// host answers WinFsp.
type host struct {
	fuse.FileSystemBase
	f   *vfs.FS
	log *slog.Logger
	// ready is closed by the first request.
	ready chan struct{}
	once  sync.Once

	files handles[*open]
	dirs  handles[*openDir]
}

// open is one open file. Its node's reference is the handle's.
type open struct {
	h *vfs.Handle
	n *vfs.Node
	// append says that writes go to the end; then mu is held for each.
	append bool
	mu     sync.Mutex
}

// openDir is one open directory; its position is one.
type openDir struct {
	mu sync.Mutex
	h  *vfs.DirHandle
	n  *vfs.Node
}

// handles numbers what is open. The zero value is empty.
type handles[T any] struct {
	mu   sync.RWMutex
	last uint64
	m    map[uint64]T
}

func (t *handles[T]) add(v T) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = map[uint64]T{}
	}
	t.last++
	t.m[t.last] = v
	return t.last
}

func (t *handles[T]) get(fh uint64) (v T, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok = t.m[fh]
	return v, ok
}

func (t *handles[T]) take(fh uint64) (v T, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok = t.m[fh]
	delete(t.m, fh)
	return v, ok
}

// Init is called before the first request.
func (h *host) Init() { h.once.Do(func() { close(h.ready) }) }

// background is the context of a call: cgofuse tells of no cancelling.
func background() context.Context { return context.Background() }

// find looks a path up and returns its node with a reference for the caller.
func (h *host) find(path string) (*vfs.Node, error) {
	n := h.f.Root()
	for name := range strings.SplitSeq(path, "/") {
		if name == "" {
			continue
		}
		next, _, err := h.f.Lookup(background(), n, name)
		h.f.Forget(n, 1)
		if err != nil {
			return nil, err
		}
		n = next
	}
	return n, nil
}

// at calls fn with the node at path.
func (h *host) at(op, path string, fn func(*vfs.Node) error) int {
	n, err := h.find(path)
	if err != nil {
		return h.errno(op, err)
	}
	defer h.f.Forget(n, 1)
	return h.errno(op, fn(n))
}

// in calls fn with the directory that holds path, and the name in it.
func (h *host) in(op, path string, fn func(*vfs.Node, string) error) int {
	i := strings.LastIndexByte(path, '/')
	return h.at(op, path[:max(i, 0)], func(n *vfs.Node) error { return fn(n, path[i+1:]) })
}

// make is in for calls that make an entry, of which nobody keeps the node.
func (h *host) make(op, path string, fn func(*vfs.Node, string, vfs.Owner) (*vfs.Node, vfs.Attr, error)) int {
	uid, gid, _ := fuse.Getcontext()
	return h.in(op, path, func(dir *vfs.Node, name string) error {
		n, _, err := fn(dir, name, owner(uid, gid))
		if err == nil {
			h.f.Forget(n, 1)
		}
		return err
	})
}
