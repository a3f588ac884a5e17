package vfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/history"
)

// Handle is an open file.
type Handle struct {
	f    *FS
	n    *Node
	file *backing.File
	past *history.File
	// user is who opened it; watched says that its reads are told.
	user    uint32
	watched bool

	// mu guards what runs ahead of a reader, once one has read what is not all here.
	mu     sync.Mutex
	stream *stream
	lead   *lead
}

// openFlags are the flags of open(2) that matter to the disk beneath. O_APPEND
// is the host's: it says where to write.
const openFlags = os.O_RDONLY | os.O_WRONLY | os.O_RDWR | os.O_SYNC | syscall.O_NONBLOCK

// accessMode masks the access mode of open(2)'s flags.
const accessMode = os.O_RDONLY | os.O_WRONLY | os.O_RDWR

// Open opens a file with the flags of open(2). A file of one chunk is brought
// now, others when they are read.
func (f *FS) Open(ctx context.Context, n *Node, flags int) (*Handle, error) {
	if n.typ != cvd.File {
		return nil, syscall.EINVAL
	}
	if n.past != nil {
		if err := barred(ctx); err != nil { // nothing of the past is on this disk
			return nil, fmt.Errorf("opening %q: %w", f.Path(n), err)
		}
		return f.openPast(ctx, n, flags)
	}
	h := &Handle{f: f, n: n}
	if f.o.Used != nil {
		h.watch(userOf(ctx))
	}
	writes := flags&accessMode != os.O_RDONLY
	if writes {
		if err := f.gate.enter(ctx); err != nil {
			return nil, err
		}
		defer f.gate.leave()
	}
	if flags&os.O_TRUNC != 0 && writes {
		if err := f.truncate(ctx, n, 0); err != nil {
			return nil, err
		}
	} else if err := f.demandOpen(ctx, n); err != nil {
		return nil, fmt.Errorf("opening %q: %w", f.Path(n), err)
	}
	if writes {
		if err := errors.Join(f.firm(n), f.settleOne(n)); err != nil {
			return nil, err
		}
	}
	var err error
	h.file, err = f.openBacking(n, flags&openFlags)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// watch tells of an open, and finds out whether reads are to be told as well.
func (h *Handle) watch(user uint32) {
	n := h.n
	n.mu.Lock()
	err := h.f.loadLocked(n)
	h.user, h.watched = user, err == nil && n.file.state == ranged
	n.mu.Unlock()
	h.f.used(n, Use{User: user, Watched: h.watched})
}

// demandOpen is demand for somebody who will read the file.
func (f *FS) demandOpen(ctx context.Context, n *Node) error {
	var l *lead
	if f.ahead.known.Load() > 0 && barred(ctx) == nil { // what is not fetched for him keeps no sweep going
		if l = f.ahead.hit(n); l != nil {
			f.ahead.opened(n, l)
		}
	}
	n.mu.Lock()
	err := f.loadLocked(n)
	s := n.file.state
	n.mu.Unlock()
	if err != nil || s == native || s == unsettled {
		return err
	}
	if err := barred(ctx); err != nil {
		return err
	}
	if l == nil {
		f.ahead.opened(n, nil)
	}
	return f.demand(ctx, n)
}

// demand hydrates a file of one chunk and notes the wait.
func (f *FS) demand(ctx context.Context, n *Node) error {
	if err := f.nearSingle(ctx, n); err != nil {
		return err
	}
	n.mu.Lock()
	err := f.loadLocked(n)
	s, m := n.file.state, n.file.mark
	n.mu.Unlock()
	if err != nil || s != single {
		return err
	}
	if err := barred(ctx); err != nil {
		return err
	}
	start := time.Now()
	if err := f.sched.Bring(ctx, f.wantSingle(n, &m)); err != nil {
		return err
	}
	f.waited(n, m.Size, start)
	return nil
}

func (f *FS) settleOne(n *Node) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := f.loadLocked(n); err != nil {
		return err
	}
	return f.settleLocked(n)
}

// Create makes a file and opens it.
func (f *FS) Create(ctx context.Context, parent *Node, name string, flags int, mode uint32, o Owner) (*Node, Attr, *Handle, error) {
	var file *backing.File
	n, a, err := f.make(ctx, parent, name, mode, o, func(d *backing.Dir) (err error) {
		file, err = d.OpenFile(name, flags&openFlags|os.O_CREATE|os.O_EXCL, mode&0o7777)
		return err
	})
	if err != nil {
		if file != nil {
			_ = file.Close()
		}
		return nil, a, nil, err
	}
	n.mu.Lock()
	if n.file.state == unknown {
		n.isNative()
	}
	n.mu.Unlock()
	return n, a, &Handle{f: f, n: n, file: file}, nil
}

// Close closes the handle.
func (h *Handle) Close() error {
	if h.past != nil {
		return nil
	}
	h.mu.Lock()
	l := h.lead
	h.mu.Unlock()
	h.f.ahead.drop(l)
	return h.file.Close()
}

// Node is the file that is open.
func (h *Handle) Node() *Node { return h.n }

// File is the open file on the disk, nil for one of the history.
func (h *Handle) File() *backing.File { return h.file }

// Whole says that all bytes are here, and will not have to be fetched any more:
// the host may hand the file to the kernel. A file that is not settled may be
// handed over for reading only.
func (h *Handle) Whole(writes bool) bool {
	if h.past != nil {
		return false
	}
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	s := h.n.file.state
	return s == native || s == unsettled && !writes
}

// ReadAt reads up to len(p) bytes; fewer only at the end of the file.
func (h *Handle) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if h.past != nil {
		return h.readPast(ctx, p, off)
	}
	if err := h.Ensure(ctx, off, len(p)); err != nil {
		return 0, err
	}
	return h.file.ReadAt(p, off)
}

// WriteAt writes p.
func (h *Handle) WriteAt(p []byte, off int64) (int, error) {
	if h.past != nil {
		return 0, syscall.EBADF
	}
	n := h.n
	n.mu.Lock()
	if err := h.f.settleLocked(n); err != nil {
		n.mu.Unlock()
		return 0, err
	}
	if n.file.state != ranged {
		n.mu.Unlock()
		return h.file.WriteAt(p, off)
	}
	defer n.mu.Unlock()
	return h.f.writeRanged(n, h.file, p, uint64(off))
}

// writeRanged writes into a file that is not all here. Called under n.mu.
func (f *FS) writeRanged(n *Node, file *backing.File, p []byte, off uint64) (int, error) {
	c := n.file
	a, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if a.Size < off { // the gap becomes zeros: nothing to fetch into it
		if err := f.recordLocked(n); err != nil {
			return 0, err
		}
	}
	if err := f.remark(n, forgetAll); err != nil {
		return 0, err
	}
	done, err := file.WriteAt(p, int64(off))
	if end := min(off+uint64(done), c.mark.Size); off < end {
		if lost := c.part.Wrote(backing.Range{Start: off, End: end}); lost != nil {
			return 0, lost
		}
		f.defers(n, 0)
	}
	if err == nil {
		err = f.completeLocked(n)
	}
	return done, err
}

// recordLocked makes the record of a truncation durable before the file grows
// again over what was cut off. Called under n.mu.
func (f *FS) recordLocked(n *Node) error {
	if err := n.file.file.SyncData(); err != nil {
		f.lostLocked(n)
		return err
	}
	return n.file.part.Settle(n.file.part.Begin())
}

// truncate sets a file's size.
func (f *FS) truncate(ctx context.Context, n *Node, size uint64) error {
	if n.typ != cvd.File {
		return syscall.EINVAL
	}
	if size > 0 {
		if err := f.demand(ctx, n); err != nil {
			return fmt.Errorf("truncating %q: %w", f.Path(n), err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := f.loadLocked(n); err != nil {
		return err
	}
	if size > 0 && n.file.state != ranged {
		if err := f.settleLocked(n); err != nil {
			return err
		}
	}
	if n.file.state == native || n.file.state == unknown {
		file, err := f.openBacking(n, os.O_RDWR)
		if err != nil {
			return err
		}
		defer file.Close()
		return file.Truncate(size)
	}
	return f.truncateMarked(n, size)
}

// truncateMarked truncates a file that has a mark. Called under n.mu.
func (f *FS) truncateMarked(n *Node, size uint64) error {
	c := n.file
	if c.file == nil {
		file, err := f.openBacking(n, os.O_RDWR)
		if err != nil {
			return err
		}
		c.file = file
	}
	if size == 0 {
		if err := c.file.Truncate(0); err != nil {
			return err
		}
		return f.nativeLocked(n)
	}
	if err := f.remark(n, forgetAll); err != nil {
		return err
	}
	a, err := c.file.Stat()
	if err != nil {
		return err
	}
	if a.Size < size {
		if err := f.recordLocked(n); err != nil {
			return err
		}
	}
	if err := c.file.Truncate(size); err != nil {
		return err
	}
	if size < c.mark.Size {
		if err := c.part.Wrote(backing.Range{Start: size, End: c.mark.Size}); err != nil {
			return err
		}
		f.defers(n, 0)
	}
	return f.completeLocked(n)
}

// Sync makes what was written through any handle of the file durable.
func (h *Handle) Sync(dataOnly bool) error {
	if h.past != nil {
		return nil
	}
	n := h.n
	n.mu.Lock()
	b := n.file.begin()
	n.mu.Unlock()
	sync := h.file.Sync
	if dataOnly {
		sync = h.file.SyncData
	}
	err := sync()
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		h.f.lostLocked(n)
		return err
	}
	return h.f.settledLocked(n, b)
}

// Fallocate is fallocate(2). What moves or removes bytes of a file that is not all here
// brings it first.
func (h *Handle) Fallocate(ctx context.Context, mode uint32, off, length int64) error {
	const keepSize = 1
	if h.past != nil {
		return syscall.EBADF
	}
	if mode&^keepSize != 0 {
		if err := h.whole(ctx); err != nil {
			return err
		}
	}
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	if err := h.f.settleLocked(h.n); err != nil {
		return err
	}
	if h.n.file.state == ranged {
		if err := h.f.recordLocked(h.n); err != nil {
			return err
		}
	}
	return h.file.Fallocate(mode, off, length)
}

// whole brings all of the file.
func (h *Handle) whole(ctx context.Context) error {
	h.n.mu.Lock()
	size, s := h.n.file.mark.Size, h.n.file.state
	h.n.mu.Unlock()
	const step = 16 << 20
	for at := uint64(0); s == ranged && at < size; at += step {
		if err := h.Ensure(ctx, int64(at), step); err != nil {
			return err
		}
	}
	return nil
}

// Seek is lseek(2) with SEEK_DATA or SEEK_HOLE. A file that is not all here is
// all data.
func (h *Handle) Seek(_ context.Context, off int64, whence int) (int64, error) {
	if h.past != nil {
		return seekData(h.past.Size(), off, whence)
	}
	h.n.mu.Lock()
	partly := h.n.file.state == ranged
	h.n.mu.Unlock()
	if !partly {
		return h.file.Seek(off, whence)
	}
	a, err := h.file.Stat()
	if err != nil {
		return 0, err
	}
	return seekData(a.Size, off, whence)
}

// seekData is lseek(2) in a file that is all data.
func seekData(size uint64, off int64, whence int) (int64, error) {
	const seekHole = 4
	switch {
	case off >= int64(size):
		return 0, syscall.ENXIO
	case whence == seekHole:
		return int64(size), nil
	}
	return off, nil
}
