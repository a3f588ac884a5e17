package vfs

import (
	"context"
	"sync"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// lists keeps the chunks of large files, whose lists are chunks of their own, so
// that pieces of one file do not ask for them again and again. The zero value is
// ready.
type lists struct {
	mu    sync.Mutex
	of    map[chunk.ID][]cvd.Ref // by the file's content
	order []chunk.ID             // the oldest first
	refs  int                    // in all of them
}

// refsMax bounds what is kept: 16 GiB of files, in 4 MiB of memory.
const refsMax = 64 << 10

func (l *lists) get(id chunk.ID) []cvd.Ref {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[id]
}

func (l *lists) put(id chunk.ID, refs []cvd.Ref) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[chunk.ID][]cvd.Ref{}
	}
	if _, had := l.of[id]; had || len(refs) > refsMax {
		return
	}
	l.of[id] = refs
	l.order = append(l.order, id)
	for l.refs += len(refs); l.refs > refsMax; {
		l.refs -= len(l.of[l.order[0]])
		delete(l.of, l.order[0])
		l.order = l.order[1:]
	}
}

// chunksOf returns the chunks of a file.
func (f *FS) chunksOf(ctx context.Context, src chunk.Source, m *backing.Mark) ([]cvd.Ref, error) {
	if !m.Content.Listed {
		return cvd.ChunksOf(ctx, src, m.Size, &m.Content)
	}
	if refs := f.lists.get(m.Content.ID); refs != nil {
		return refs, nil
	}
	refs, err := cvd.ChunksOf(ctx, src, m.Size, &m.Content)
	if err == nil {
		f.lists.put(m.Content.ID, refs)
	}
	return refs, err
}

// bringLists asks for the lists of files that are to be filled in one request.
func (f *FS) bringLists(ctx context.Context, files []backing.Mark) error {
	var ids []chunk.ID
	var of []backing.Mark
	for _, m := range files {
		if m.Content.Listed && f.lists.get(m.Content.ID) == nil {
			of = append(of, m)
			for _, l := range m.Content.Chunks {
				ids = append(ids, l.ID)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	here := gathered{f.sched.Bulk(), chunk.Map{}}
	err := here.Fetch(ctx, ids, func(int, []byte, error) error { return nil })
	for i := 0; i < len(of) && err == nil; i++ {
		_, _ = f.chunksOf(ctx, here.Map, &of[i]) // what lacks fails those who fill that file
	}
	return err
}
