package local

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
)

// Sizes of what a Builder holds in memory.
const (
	runRecords = 1 << 15
	heapBuffer = 64 << 10
)

// Builder makes an index. It is what a scan tells what it finds; it is safe for concurrent use.
type Builder struct {
	// out is the index in the making, runs its records in the order of runs.
	out, runs *durable.File
	// outR and runsR are the same for reading.
	outR, runsR *os.File

	mu sync.RWMutex
	// heap is the end of the heap that is not in out yet, and begins at heapAt.
	heap   []byte
	heapAt int64
	// recent are records that are in no run yet; byPrefix is where one of a prefix stands in it.
	recent   []record
	byPrefix map[uint64]int
	sorted   []*run
	runsEnd  int64
}

func newBuilder(dir string) (b *Builder, err error) {
	b = &Builder{heap: []byte(magic), byPrefix: map[uint64]int{}}
	if b.out, err = durable.Create(filepath.Join(dir, indexName)); err != nil {
		return nil, err
	}
	if b.runs, err = durable.Create(filepath.Join(dir, "runs")); err != nil {
		b.out.Abort()
		return nil, err
	}
	b.outR, b.runsR = b.out.OS(), b.runs.OS()
	return b, nil
}

// abort drops what is not finished. Lookups that are under way find nothing any more.
func (b *Builder) abort() {
	b.out.Abort()
	b.runs.Abort()
}

// File adds a regular file by its path below the tree, with its size, its id and its chunks in order; without chunks it
// is only known as a whole.
func (b *Builder) File(path string, size uint64, id chunk.ID, chunks []cvd.Ref) error {
	if len(path) > pathMax || size > numberMax {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	at, err := b.appendLocked(append(binary.BigEndian.AppendUint16(nil, uint16(len(path))), path...))
	if err != nil {
		return err
	}
	if size > chunk.WholeMax {
		if err := b.noteLocked(&id, place{kind: ofWhole, at: at, off: size}); err != nil {
			return err
		}
	}
	var off uint64
	for i := range chunks {
		c := &chunks[i]
		if err := b.noteLocked(&c.ID, place{kind: ofFile, at: at, off: off, size: uint32(c.Size)}); err != nil {
			return err
		}
		off += c.Size
	}
	return nil
}

// Chunk adds a chunk that is in no file, with its bytes.
func (b *Builder) Chunk(id chunk.ID, plain []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, err := b.appendLocked(plain)
	if err != nil {
		return err
	}
	return b.noteLocked(&id, place{kind: ofHeap, at: at, size: uint32(len(plain))})
}

// appendLocked appends to the heap and says where.
func (b *Builder) appendLocked(p []byte) (at uint64, err error) {
	at = uint64(b.heapAt) + uint64(len(b.heap))
	b.heap = append(b.heap, p...)
	if len(b.heap) >= heapBuffer {
		err = b.flushLocked()
	}
	return at, err
}

func (b *Builder) flushLocked() error {
	if _, err := b.out.Write(b.heap); err != nil {
		return err
	}
	b.heapAt += int64(len(b.heap))
	b.heap = b.heap[:0]
	return nil
}

// noteLocked adds a record. Places that the format cannot hold are left out.
func (b *Builder) noteLocked(id *chunk.ID, p place) error {
	r := newRecord(id, &p)
	if back, ok := r.place(); !ok || back != p {
		return nil
	}
	b.byPrefix[r.prefix()] = len(b.recent)
	if b.recent = append(b.recent, r); len(b.recent) < runRecords {
		return nil
	}
	return b.sortLocked()
}

// sortLocked makes the recent records a run.
func (b *Builder) sortLocked() error {
	slices.SortFunc(b.recent, compare)
	r := &run{r: b.runsR, at: b.runsEnd}
	w := newRecordWriter(b.runs, r)
	for i := range b.recent {
		if err := w.add(&b.recent[i]); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	b.runsEnd += r.n * recordSize
	b.sorted = append(b.sorted, r)
	b.recent = b.recent[:0]
	clear(b.byPrefix)
	return nil
}

// find is run.find over all that was added.
func (b *Builder) find(prefix uint64, each func(*record) bool) {
	b.mu.RLock()
	i, ok := b.byPrefix[prefix]
	var r record
	if ok {
		r = b.recent[i]
	}
	sorted := b.sorted
	b.mu.RUnlock()
	if ok && !each(&r) {
		return
	}
	for _, r := range sorted {
		r.find(prefix, each)
	}
}

// ReadAt implements io.ReaderAt for the heap. It reads what was added in one piece, or a part of that.
func (b *Builder) ReadAt(p []byte, off int64) (int, error) {
	b.mu.RLock()
	if in := off - b.heapAt; in >= 0 && in+int64(len(p)) <= int64(len(b.heap)) {
		n := copy(p, b.heap[in:])
		b.mu.RUnlock()
		return n, nil
	}
	b.mu.RUnlock()
	return b.outR.ReadAt(p, off)
}

// finish puts the index in place.
func (b *Builder) finish() error {
	if err := b.rest(); err != nil {
		return err
	}
	r := &run{at: b.heapAt}
	w := newRecordWriter(b.out, r)
	if err := merge(b.sorted, w.add); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	if _, err := b.out.Write(appendTail(nil, r.at, r.n, r.fences)); err != nil {
		return err
	}
	return b.out.Commit()
}

// rest writes what is still in memory.
func (b *Builder) rest() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.flushLocked(); err != nil {
		return err
	}
	return b.sortLocked()
}
