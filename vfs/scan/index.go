package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
)

// Sink is told what Index finds: from one goroutine, in canonical order. An error of it ends the scan.
type Sink interface {
	// File is told of a regular file by its path below the root, slash-separated, with the chunks that it is made of;
	// none where they are not known. A file whose bytes are in its tree node is left out.
	File(path string, size uint64, id chunk.ID, chunks []cvd.Ref) error
	// Chunk is told the bytes of a tree node or a list chunk, valid until it returns.
	Chunk(id chunk.ID, plain []byte) error
}

// Index reads a directory as Snapshot does and tells sink of it instead of a server: the tree that it returns is the one
// that a snapshot would hold. What has not changed since the last Index, or since the last snapshot of it as desktop
// o.CVD, is not read. Interrupted, the next one goes on from there.
func Index(ctx context.Context, o Options, sink Sink) (Tree, error) {
	if err := o.defaults(); err != nil {
		return Tree{}, err
	}
	cache, err := openCache(o.Cache, "", o.Root) // no desktop has no name
	if err != nil {
		return Tree{}, err
	}
	defer cache.close()
	s := &scan{Options: o, session: alone{}, cache: cache, sink: sink}
	tree, next, err := s.run(ctx)
	if err != nil {
		return Tree{}, err
	}
	if err := next.commit(tree.Root); err != nil {
		o.Notice(fmt.Sprintf("%v; the next index reads everything again", err))
	}
	return tree, nil
}

// known are the stat caches of an index: its own, and the one of the desktop's snapshots. What a server has is of no
// account, so all of them are believed.
func (s *scan) known() []*source {
	all := s.cache.sources(cvd.Root{}, s.Notice)
	if s.Cache != "" && s.CVD != "" {
		c := cacheOf(s.Cache, s.CVD, s.Root)
		src, err := openSource(c.base+".cache", c.about)
		if err == nil {
			all = append(all, src)
		} else if !errors.Is(err, fs.ErrNotExist) {
			s.Notice(fmt.Sprintf("%v; it is left aside", err))
		}
	}
	for _, src := range all {
		src.trusted = true
	}
	return all
}

// tell tells the sink of a file.
func (a *assembler) tell(path string, f *facts) error {
	if f.size <= cvd.InlineMax {
		return nil
	}
	chunks := f.content.Chunks
	switch {
	case len(chunks) == 0:
		chunks = []cvd.Ref{{ID: f.content.ID, Size: f.size}}
	case f.content.Listed:
		chunks = f.refs
		if err := a.tellLists(f); err != nil {
			return err
		}
	}
	return a.sink.File(path, f.size, f.content.ID, chunks)
}

// tellLists makes a file's list chunks anew: they are no bytes of the disk.
func (a *assembler) tellLists(f *facts) error {
	if len(f.refs) == 0 {
		return nil
	}
	_, err := cvd.ListContent(f.content.ID, f.refs, func(list []byte) (chunk.ID, error) {
		id := chunk.Sum(list)
		return id, a.sink.Chunk(id, list)
	})
	return err
}

// tellKept tells the sink of a file that has not changed.
func (a *assembler) tellKept(it *item, path string) error {
	if it.st.kind() != cvd.File {
		return nil
	}
	f, err := decodeFacts(it.payload, cvd.File)
	if err != nil {
		return err
	}
	return a.tell(path, f)
}

// alone is the session of a scan without a server: it knows no file, so that all are cut, and lacks no chunk, so that
// none is compressed.
type alone struct{}

func (alone) Info() wire.Session { return wire.Session{} }

func (alone) Have(_ context.Context, ids []chunk.ID) ([]wire.Have, error) {
	haves := make([]wire.Have, len(ids))
	for i := range haves {
		haves[i] = wire.Present
	}
	return haves, nil
}

func (alone) Files(_ context.Context, ids []chunk.ID) ([]wire.FileAnswer, error) {
	return make([]wire.FileAnswer, len(ids)), nil
}

func (alone) Prove(context.Context, []chunk.ID, func(chunk.ID) []byte) ([]chunk.ID, error) {
	return nil, nil
}

func (alone) Upload(context.Context, *remote.Pack) error { return errors.ErrUnsupported }
