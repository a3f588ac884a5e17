//go:build linux

package fuse

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/ledger"
	"golang.org/x/sys/unix"
)

// Keeper holds descriptors for the process that serves a mount after this one.
type Keeper interface {
	// Keep holds a copy of fd under a name, until Drop.
	Keep(name string, fd int) error
	Drop(name string) error
	// Names are those with a prefix under which something is kept.
	Names(prefix string) []string
	// Room is how many bytes of names may still be kept.
	Room() int
	// Take returns what a process before this one had kept under a name; it is the
	// caller's own, and remains kept.
	Take(name string) (fd int, ok bool)
}

// Handover has a mount outlive the process that serves it: the keeper holds the
// device and the ledger, and the next process goes on where this one died. Programs
// that wait for an answer get it from that one. It implements vfs.Keeper.
type Handover struct {
	k    Keeper
	name string
	led  *ledger.Ledger
	// fd is the device that a process before this one left, mem the memory of a new
	// ledger, until they are used; otherwise -1.
	fd, mem int
	// idle is a server that does not serve yet, which owns the descriptor slot.
	idle  *fuse.Server
	slot  int
	taken bool
	place string
	// mapped is the memory of the ledger.
	mapped []byte
	// serving says that requests are answered, which writes to the ledger.
	serving atomic.Bool

	mu sync.Mutex
	// open counts handles by node: only what is open is used without a name.
	open map[uint64]int
	held map[uint64]bool
	// pins is what the names of held nodes begin with. It is another for each
	// ledger, whose numbers of nodes may be the same.
	pins string
}

// spared is the room for names that is left to mounts, and to what is open.
const spared = 32 << 10

// ledgerSize bounds the ledger, in bytes. What is not used of it takes no memory.
const ledgerSize = 4 << 30

// Inherit finds what a process before this one left of a mount: its ledger is
// for vfs.Open. Where that cannot be taken over it goes, and the mount with it.
func Inherit(k Keeper, name string) (*Handover, error) {
	o := &Handover{k: k, name: name, fd: -1, mem: -1, open: map[uint64]int{}, held: map[uint64]bool{}}
	dev, mounted := k.Take(name + ".fuse")
	mem, begun := k.Take(name + ".ledger")
	if mounted && begun && connected(dev) && o.take(dev, mem) == nil {
		return o, nil
	}
	if mounted {
		_ = unix.Close(dev)
	}
	if begun {
		_ = unix.Close(mem)
	}
	o.fd, o.taken = -1, false
	if err := errors.Join(o.Close(), o.begin()); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// Anew gives up what was taken over, for a new mount. Nobody uses the ledger any more.
func (o *Handover) Anew() error {
	err := o.Close()
	o.taken = false
	return errors.Join(err, o.begin())
}

// Taken says that the mount is there already.
func (o *Handover) Taken() bool { return o != nil && o.taken }

// SetPlace notes a directory that the next process must know.
func (o *Handover) SetPlace(dir string) {
	if o != nil {
		o.place = dir
	}
}

// Place is the directory that the process before this one noted, "" if none.
func (o *Handover) Place() string { return o.place }

// Ledger is where it is written what the kernel knows.
func (o *Handover) Ledger() *ledger.Ledger { return o.led }

// connected says whether a device still has its mount.
func connected(dev int) bool {
	p := []unix.PollFd{{Fd: int32(dev)}}
	_, err := unix.Poll(p, 0)
	return err == nil && p[0].Revents&unix.POLLERR == 0
}

func (o *Handover) take(dev, mem int) error {
	err := o.mapIn(mem)
	if err == nil {
		o.led, err = ledger.Open(o.mapped)
	}
	if err != nil {
		return err
	}
	if fd, ok := o.k.Take(o.name + ".place"); ok {
		o.place, err = os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err = errors.Join(err, unix.Close(fd)); err != nil {
			return err
		}
	}
	_ = unix.Close(mem) // the mapping holds it
	o.fd, o.taken = dev, true
	return nil
}

func (o *Handover) begin() error {
	mem, err := unix.MemfdCreate("looming-ledger", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("memory for what the kernel knows: %w", err)
	}
	o.mem = mem
	if err := unix.Ftruncate(mem, ledgerSize); err != nil {
		return fmt.Errorf("memory for what the kernel knows: %w", err)
	}
	if err := o.mapIn(mem); err != nil {
		return err
	}
	o.led = ledger.New(o.mapped)
	return nil
}

// keep has the mount outlive this process from now on.
func (o *Handover) keep(dev int) error {
	if o.place != "" {
		fd, err := unix.Open(o.place, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("keeping %s: %w", o.place, err)
		}
		defer unix.Close(fd)
		if err := o.k.Keep(o.name+".place", fd); err != nil {
			return err
		}
	}
	err := errors.Join(o.k.Keep(o.name+".ledger", o.mem), o.k.Keep(o.name+".fuse", dev), unix.Close(o.mem))
	o.mem = -1
	return err
}

func (o *Handover) mapIn(mem int) (err error) {
	var st unix.Stat_t
	if err := unix.Fstat(mem, &st); err != nil {
		return fmt.Errorf("memory for what the kernel knows: %w", err)
	}
	o.pins = o.name + pinned + strconv.FormatUint(st.Ino, 36) + "."
	o.mapped, err = unix.Mmap(mem, 0, ledgerSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("memory for what the kernel knows: %w", err)
	}
	return nil
}

// End has nothing of the mount outlive this process.
func (o *Handover) End() error {
	if o == nil {
		return nil
	}
	for _, fd := range []*int{&o.fd, &o.mem} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
	return errors.Join(o.empty(), o.drop())
}

// empty takes the device from a server that is not to serve. The descriptor is the server's to close.
func (o *Handover) empty() error {
	if o.idle == nil {
		return nil
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = errors.Join(unix.Dup3(null, o.slot, unix.O_CLOEXEC), unix.Close(null))
	runtime.KeepAlive(o.idle)
	o.idle = nil
	return err
}

// Close is End, and lets go of the ledger unless requests are still answered.
// The vfs.FS that writes to it is closed.
func (o *Handover) Close() error {
	err := o.End()
	if o == nil || o.mapped == nil || o.serving.Load() {
		return err
	}
	err = errors.Join(err, unix.Munmap(o.mapped))
	o.mapped, o.led = nil, nil
	return err
}

// serves says that the server answers requests, and closes the device in the end.
func (o *Handover) serves() {
	o.idle = nil
	o.serving.Store(true)
}

// served says that the last request is answered.
func (o *Handover) served() {
	if o != nil {
		o.serving.Store(false)
	}
}

func (o *Handover) drop() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for _, name := range o.k.Names(o.name + ".") {
		errs = append(errs, o.k.Drop(name))
	}
	o.held = map[uint64]bool{}
	return errors.Join(errs...)
}

// tidy drops what was held for nodes that are no more.
func (o *Handover) tidy() {
	o.mu.Lock()
	defer o.mu.Unlock()
	used := map[string]bool{}
	for id := range o.held {
		used[o.pin(id)] = true
	}
	for _, name := range o.k.Names(o.name + pinned) {
		if !used[name] {
			_ = o.k.Drop(name) // at worst it is held until the mount ends
		}
	}
}

// pinned is between a mount's name and that of something that is held.
const pinned = ".n"

func (o *Handover) pin(id uint64) string { return o.pins + strconv.FormatUint(id, 36) }

// opened counts the handles of a node.
func (o *Handover) opened(id uint64, by int) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open[id] += by; o.open[id] == 0 {
		delete(o.open, id)
	}
}

// Hold implements vfs.Keeper. A file that is not open, and has no other name, is
// used by nobody any more. Where many are held already, what is open comes first:
// the rest can be looked up again, or nobody looks.
func (o *Handover) Hold(id uint64, p *backing.Pin, dir, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open[id] == 0 && (last && !dir || o.k.Room() < spared) {
		return
	}
	if o.k.Keep(o.pin(id), p.Fd()) == nil {
		o.held[id] = true
	}
}

// Release implements vfs.Keeper.
func (o *Handover) Release(id uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.k.Drop(o.pin(id)) // at worst it is held until the mount ends
	delete(o.held, id)
}

// Held implements vfs.Keeper.
func (o *Handover) Held(id uint64) *backing.Pin {
	fd, ok := o.k.Take(o.pin(id))
	if !ok {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held[id] = true
	return backing.PinOf(fd)
}
