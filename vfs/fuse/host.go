//go:build linux

package fuse

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/ledger"
)

// host answers the kernel.
type host struct {
	fuse.RawFileSystem
	f           *vfs.FS
	log         *slog.Logger
	server      *fuse.Server
	passthrough atomic.Bool
	bars        *Bars
	// over is set where the mount outlives this process.
	over *Handover

	files handles[*open]
	dirs  handles[*openDir]

	// mu guards the table of files that are open, and the nodes whose bytes the
	// page cache was given and may still have.
	mu     sync.Mutex
	nodes  map[uint64]*hosted
	filled map[uint64]struct{}
}

// hosted is a file with open handles: how it is open in the kernel.
type hosted struct {
	// users counts open handles, and who is about to open or cut the file; guarded by host.mu.
	users int

	// mu guards the rest, and is held while the page cache is given bytes.
	mu sync.Mutex
	// cached counts handles that go through this process and the page cache.
	cached int
	// passed counts handles that the kernel serves from backing.
	passed int
	// backing is the kernel's number for the file, while passed is not 0.
	backing int32
}

// open is one open file.
type open struct {
	h      *vfs.Handle
	id     uint64
	t      *hosted
	passed bool
	// at is where it is written down, unique the request that opened it.
	at     ledger.Place
	unique uint64
}

// openDir is one open directory; its position is one.
type openDir struct {
	mu sync.Mutex
	h  *vfs.DirHandle
	n  *vfs.Node
	// left is an entry that did not fit into the last answer.
	left     *backing.DirEntry
	at       uint64
	ledgerAt ledger.Place
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

// put adds what has a number already.
func (t *handles[T]) put(fh uint64, v T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = map[uint64]T{}
	}
	t.m[fh] = v
}

// find returns one that is wanted, or the zero value.
func (t *handles[T]) find(wanted func(T) bool) (fh uint64, v T) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for fh, v := range t.m {
		if wanted(v) {
			return fh, v
		}
	}
	return 0, v
}

func (t *handles[T]) get(fh uint64) T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.m[fh]
}

func (t *handles[T]) take(fh uint64) T {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.m[fh]
	delete(t.m, fh)
	return v
}

// hold returns how a file is open, until letGo.
func (h *host) hold(id uint64) *hosted {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.nodes[id]
	if t == nil {
		t = &hosted{}
		h.nodes[id] = t
	}
	t.users++
	return t
}

func (h *host) letGo(id uint64, t *hosted) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(h.nodes, id)
	}
}

// Init is called before the first request.
func (h *host) Init(s *fuse.Server) { h.server = s }

// String names the file system.
func (h *host) String() string { return "looming" }

// node is what the kernel's number stands for.
func (h *host) node(in *fuse.InHeader) *vfs.Node { return h.f.Node(in.NodeId) }

// attr translates.
func attr(out *fuse.Attr, a *vfs.Attr) {
	*out = fuse.Attr{
		Ino: a.Ino, Size: a.Size, Blocks: a.Blocks, Nlink: a.Nlink,
		Atime: uint64(a.Atime.Sec), Mtime: uint64(a.Mtime.Sec), Ctime: uint64(a.Ctime.Sec),
		Atimensec: a.Atime.Nsec, Mtimensec: a.Mtime.Nsec, Ctimensec: a.Ctime.Nsec,
		Mode: backing.TypeMode(a.Type) | a.Mode, Owner: fuse.Owner{Uid: a.UID, Gid: a.GID},
		Rdev: makedev(a.Major, a.Minor), Blksize: a.BlockSize,
	}
}

// makedev packs a device number as the FUSE protocol has it: 32 bits.
func makedev(major, minor uint32) uint32 {
	return minor&0xff | major<<8 | minor&^0xff<<12
}

func splitdev(dev uint32) (major, minor uint32) {
	return dev >> 8 & 0xfff, dev&0xff | dev>>12&^0xff
}

// entry answers with a node, which the kernel knows once more from then on.
func (h *host) entry(out *fuse.EntryOut, n *vfs.Node, a *vfs.Attr) {
	h.f.Known(n)
	out.NodeId, out.Generation = n.ID(), 1
	out.SetEntryTimeout(keep)
	out.SetAttrTimeout(kept(n))
	attr(&out.Attr, a)
}
