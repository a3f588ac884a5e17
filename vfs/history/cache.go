package history

import (
	"container/list"
	"sync"

	"github.com/looming-project/looming/vfs/chunk"
)

// cache holds what was fetched, and lets go of what was not used for longest.
type cache[V any] struct {
	// most bounds the sizes of all together.
	most int

	// mu guards all below.
	mu   sync.Mutex
	size int
	// at finds in used, where the latest comes first.
	at   map[chunk.ID]*list.Element
	used list.List
}

// kept is an element of cache.used.
type kept[V any] struct {
	id   chunk.ID
	v    V
	size int
}

func (c *cache[V]) get(id chunk.ID) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.at[id]
	if e == nil {
		return v, false
	}
	c.used.MoveToFront(e)
	return e.Value.(*kept[V]).v, true
}

func (c *cache[V]) put(id chunk.ID, v V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		c.at = map[chunk.ID]*list.Element{}
	}
	if c.at[id] != nil {
		return
	}
	c.at[id] = c.used.PushFront(&kept[V]{id, v, size})
	for c.size += size; c.size > c.most; {
		oldest := c.used.Back()
		k := c.used.Remove(oldest).(*kept[V])
		delete(c.at, k.id)
		c.size -= k.size
	}
}
