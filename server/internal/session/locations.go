package session

import (
	"sync"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/sis"
	"github.com/looming-project/looming/vfs/chunk"
)

// generation is how many chunks each half of the cache knows: together about 25 MiB.
const generation = 1 << 17

// locations remembers where chunks lie. It is a hint: what it says is checked
// against sets that the database gave (serials are never used twice) and against
// the record in the pack; what it does not say is looked up.
type locations struct {
	mu         sync.Mutex
	young, old map[chunk.ID]postgres.Chunk
}

func (l *locations) put(id chunk.ID, c postgres.Chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.putLocked(id, c)
}

func (l *locations) putLocked(id chunk.ID, c postgres.Chunk) {
	if l.young == nil || len(l.young) >= generation {
		l.old, l.young = l.young, make(map[chunk.ID]postgres.Chunk)
	}
	l.young[id] = c
}

func (l *locations) putAll(all map[chunk.ID]postgres.Chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, c := range all {
		l.putLocked(id, c)
	}
}

// get fills in what is known and returns what is not.
func (l *locations) get(ids []chunk.ID, found map[chunk.ID]postgres.Chunk) (unknown []chunk.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if _, twice := found[id]; twice {
			continue
		}
		c, ok := l.young[id]
		if !ok {
			if c, ok = l.old[id]; ok {
				l.putLocked(id, c)
			}
		}
		if ok {
			found[id] = c
		} else {
			unknown = append(unknown, id)
		}
	}
	return unknown
}

// forget drops all.
func (l *locations) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.young, l.old = nil, nil
}

func (l *locations) drop(id chunk.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.young, id)
	delete(l.old, id)
}

// putEntries remembers a pack that was just written. An entry whose chunk was known before may lie elsewhere
// in truth; it is a whole copy all the same.
func (l *locations) putEntries(pack int32, entries []sis.Entry, serials []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range entries {
		e := &entries[i]
		l.putLocked(e.ID, postgres.Chunk{Serial: serials[i], Pack: pack, Offset: e.Offset, Length: e.Length, Plain: e.Plain})
	}
}
