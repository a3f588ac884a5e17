package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
	"github.com/zeebo/blake3"
)

const (
	// readTries is how often a file that changes is read, with a pause that grows from readPause.
	readTries = 4
	readPause = 20 * time.Millisecond
	// fresh is within how long after a change another one may leave no trace in the times.
	fresh = 50 * time.Millisecond
	// recent is within how long after its beginning a write may still be under way.
	recent = time.Hour
)

// errHeldLost says that a placeholder's content is not known to the server.
var errHeldLost = errors.New("it is a placeholder, and the server does not have its content for this device")

// file reads a regular file.
func (k *worker) file(ctx context.Context, j *job) error {
	f, err := j.n.d.file(j.name)
	if err != nil {
		j.done(err)
		return nil
	}
	defer f.close()
	for try := range readTries {
		if try > 0 && !pause(ctx, readPause<<(2*try)) {
			break
		}
		if err = f.stat(&j.st); err != nil {
			break
		}
		if j.st.kind() != cvd.File {
			err = ErrChanging
			break
		}
		var left bool
		if left, err = k.attempt(ctx, j, f); left {
			return nil
		}
		if k.failed != nil {
			j.undone(k.failed)
			return k.failed
		}
		if errors.Is(err, ErrPlaceholder) && k.hook != nil {
			if err = k.hook.Bring(j.n.path(j.name)); err == nil {
				err = ErrChanging
			}
		}
		if !errors.Is(err, ErrChanging) {
			break
		}
	}
	if ctx.Err() != nil {
		j.undone(ctx.Err())
		return ctx.Err()
	}
	j.done(err)
	return nil
}

// pause returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt reads the file in the state of j.st. Unless the job is done or left for later, it says what is wrong with
// the file; what ends the scan is in k.failed.
func (k *worker) attempt(ctx context.Context, j *job, f file) (left bool, err error) {
	j.facts = facts{size: j.st.Size}
	xs, err := f.xattrs()
	if err != nil {
		return false, err
	}
	if err := j.attributes(xs, k.hook); err != nil {
		return false, err
	}
	if j.held != nil {
		j.content, j.sparse = j.held.Content, j.held.Sparse
		k.ask(j, &j.facts)
		return true, nil
	}
	if k.sl.room() < int(min(j.st.Size, slabSize)) || j.st.Size > slabSize {
		if err := k.bring(ctx); err != nil {
			return false, err
		}
	}
	if j.st.blocks*512 < j.st.Size {
		from, to := f.data(0, int64(j.st.Size))
		j.sparse = from > 0 || uint64(to) < j.st.Size
	}
	if k.now().Sub(j.st.Ctime.Std()) < recent {
		j.loose = f.settle() != nil // after the stat: a change that comes later changes the next one
	}
	if j.st.Size > slabSize {
		return k.big(ctx, j, f)
	}
	return k.small(j, f)
}

// small reads a file into the slab.
func (k *worker) small(j *job, f file) (left bool, err error) {
	k.sl.fill()
	off, n := len(k.sl.buf), int(j.st.Size)
	buf := k.sl.buf[off : off+n]
	id, err := k.whole(j, f, buf)
	if err != nil {
		return false, err
	}
	switch {
	case n <= cvd.InlineMax:
		j.content.Inline = append([]byte{}, buf...)
	case n <= chunk.WholeMax:
		j.content.ID = id
		k.sl.buf = k.sl.buf[:off+n]
		k.sl.mark(id, off, n)
	default:
		j.content.ID = id
		k.sl.buf = k.sl.buf[:off+n]
		k.large = append(k.large, filed{j, off, n})
		return true, nil
	}
	j.done(nil)
	return true, nil
}

// whole fills buf with the file, all of one state, and returns its id.
func (k *worker) whole(j *job, f file, buf []byte) (id chunk.ID, err error) {
	if id, err = k.reading(j, f, buf); err != nil {
		return id, err
	}
	if k.now().Sub(j.st.Ctime.Std()).Abs() < fresh {
		again, err := k.reading(j, f, buf)
		if err == nil && again != id {
			err = ErrChanging
		}
		return again, err
	}
	return id, nil
}

func (k *worker) reading(j *job, f file, buf []byte) (id chunk.ID, err error) {
	n, err := f.readAt(buf, 0)
	k.count.BytesRead.Add(int64(n))
	if err != nil {
		return id, err
	}
	var after stat
	if err := f.stat(&after); err != nil {
		return id, err
	}
	if n != len(buf) || !after.same(&j.st) {
		return id, ErrChanging
	}
	return chunk.Sum(buf), nil
}

// bring asks about what was gathered, brings what is missing, and empties the slab. An error ends the scan.
func (k *worker) bring(ctx context.Context) error {
	err := k.askLarge(ctx)
	if err == nil {
		err = k.ship.bring(ctx, k.sl, &k.scratch)
	}
	if err == nil {
		k.sl.reset()
		err = k.confirm(ctx)
	}
	if err != nil {
		k.failed = err
	}
	return err
}

// askLarge asks about the files in the slab that are more than one chunk, and cuts those that the server does not know.
func (k *worker) askLarge(ctx context.Context) error {
	if len(k.large) == 0 {
		return nil
	}
	ids := make([]chunk.ID, len(k.large))
	for i := range k.large {
		ids[i] = k.large[i].j.content.ID
	}
	answers, err := k.ship.s.Files(ctx, ids)
	if err != nil {
		return err
	}
	for i, f := range k.large {
		if a := &answers[i]; isKnown(a, uint64(f.n)) {
			f.j.content, err = a.Content, nil
		} else {
			err = k.cutSlab(f)
		}
		f.j.done(err)
	}
	k.large = k.large[:0]
	return nil
}

// isKnown says whether an answer gives a content that counts as uploaded.
func isKnown(a *wire.FileAnswer, size uint64) bool {
	return a.Have == wire.Present && a.Size == size && len(a.Content.Chunks) > 0
}

// cutSlab cuts a file that lies in the slab.
func (k *worker) cutSlab(f filed) error {
	region := k.sl.buf[f.off : f.off+f.n]
	cut := k.cut(f.j.name, region[:min(len(region), headLen)])
	var refs []cvd.Ref
	for off := f.off; len(region) > 0; {
		n := cut.Length(region)
		id := chunk.Sum(region[:n])
		k.sl.mark(id, off, n)
		refs = append(refs, cvd.Ref{ID: id, Size: uint64(n)})
		region, off = region[n:], off+n
	}
	var err error
	f.j.refs = refs
	f.j.content, err = cvd.ListContent(f.j.content.ID, refs, func(list []byte) (chunk.ID, error) { return k.sl.add(list), nil })
	return err
}

// headLen is how much of a file is shown to the choice of how to cut it.
const headLen = chunk.HeadMax

// withBuffer lends f a buffer for a large file.
func (w *work) withBuffer(ctx context.Context, f func(buf []byte) error) error {
	select {
	case buf := <-w.splits:
		if buf == nil {
			buf = make([]byte, 2*chunk.MaxSize)
		}
		defer func() { w.splits <- buf }()
		return f(buf)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// big reads a file twice: for its hash, and if the server does not know that, to cut it. In a desktop's first snapshot
// it knows nothing that this device need not prove chunk by chunk, so once will do, unless the file has changed lately:
// then two readings that are equal say that it holds still.
func (k *worker) big(ctx context.Context, j *job, f file) (done bool, err error) {
	f.sequential()
	err = k.withBuffer(ctx, func(buf []byte) error {
		if k.first && k.now().Sub(j.st.Ctime.Std()) > recent {
			return k.cutFile(ctx, j, f, nil, buf)
		}
		return k.twice(ctx, j, f, buf)
	})
	if err != nil {
		return false, err
	}
	j.done(nil)
	return true, nil
}

func (k *worker) twice(ctx context.Context, j *job, f file, buf []byte) error {
	id, err := k.hash(ctx, j, f, buf)
	if err != nil {
		return err
	}
	answers, err := k.ship.s.Files(ctx, []chunk.ID{id})
	if err != nil {
		k.failed = err
		return err
	}
	if a := &answers[0]; isKnown(a, j.st.Size) {
		j.content = a.Content
		return nil
	}
	return k.cutFile(ctx, j, f, &id, buf)
}

// hash reads a file once.
func (k *worker) hash(ctx context.Context, j *job, f file, buf []byte) (id chunk.ID, err error) {
	h := blake3.New()
	r := &reader{f: f, size: int64(j.st.Size), sparse: j.sparse, count: k.count}
	for r.off < r.size && err == nil {
		var n int
		n, err = r.Read(buf)
		_, _ = h.Write(buf[:n]) // never fails
		if err == nil {
			err = ctx.Err()
		}
	}
	if err == nil {
		err = unchanged(j, f)
	}
	h.Sum(id[:0])
	return id, err
}

func unchanged(j *job, f file) error {
	var after stat
	if err := f.stat(&after); err != nil {
		return err
	}
	if !after.same(&j.st) {
		return ErrChanging
	}
	return nil
}

// cutFile reads a file, which must have the given id if there is one, and brings its chunks.
func (k *worker) cutFile(ctx context.Context, j *job, f file, want *chunk.ID, buf []byte) error {
	head := make([]byte, headLen)
	n, err := f.readAt(head, 0)
	if err != nil {
		return err
	}
	r := &reader{f: f, size: int64(j.st.Size), sparse: j.sparse, count: k.count}
	s := chunk.NewSplitter(r, k.cut(j.name, head[:n]), buf)
	h := blake3.New()
	var refs []cvd.Ref
	for {
		c, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		_, _ = h.Write(c) // never fails
		id, err := k.keep(ctx, c)
		if err != nil {
			return err
		}
		refs = append(refs, cvd.Ref{ID: id, Size: uint64(len(c))})
	}
	if err := unchanged(j, f); err != nil {
		return err
	}
	id := chunk.ID(h.Sum(nil))
	if want != nil && id != *want {
		return fmt.Errorf("%w (two readings differ)", ErrChanging)
	}
	j.refs = refs
	j.content, err = cvd.ListContent(id, refs, func(list []byte) (chunk.ID, error) { return k.keep(ctx, list) })
	return err
}

// keep puts a chunk into the slab, which is handed over when it is full.
func (k *worker) keep(ctx context.Context, plain []byte) (chunk.ID, error) {
	if k.sl.room() < len(plain) {
		if err := k.handOver(ctx); err != nil {
			return chunk.ID{}, err
		}
	}
	return k.sl.add(plain), nil
}

// reader reads a file of known size; holes are not read.
type reader struct {
	f         file
	off, size int64
	sparse    bool
	// from and to are the next run of data.
	from, to int64
	count    *Counters
}

// Read implements io.Reader. A file that is shorter than it was ends early.
func (r *reader) Read(p []byte) (int, error) {
	if r.off >= r.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.size-r.off)]
	if r.sparse {
		if r.off >= r.to {
			r.from, r.to = r.f.data(r.off, r.size)
		}
		if r.off < r.from {
			p = p[:min(int64(len(p)), r.from-r.off)]
			clear(p)
			r.off += int64(len(p))
			return len(p), nil
		}
		p = p[:min(int64(len(p)), r.to-r.off)]
	}
	n, err := r.f.readAt(p, r.off)
	r.off += int64(n)
	r.count.BytesRead.Add(int64(n))
	if err == nil && n < len(p) {
		err = ErrChanging
	}
	return n, err
}
