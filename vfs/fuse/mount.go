//go:build linux

package fuse

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/looming-project/looming/vfs"
	"golang.org/x/sys/unix"
)

// Options of a mount. The zero value works.
type Options struct {
	// Log gets errors that the kernel's numbers cannot tell; default slog.Default.
	Log *slog.Logger
	// Private keeps other users out. Only root may let them in.
	Private bool
	// Bars, if set, are programs for which no content is fetched.
	Bars *Bars
	// NoPassthrough has all reads and writes go through this process.
	NoPassthrough bool
	// Handover, if set, has the mount outlive this process. It is the one of whose
	// Ledger the vfs.FS knows. Only root has one.
	Handover *Handover
}

// Mount is a mounted desktop.
type Mount struct {
	server *fuse.Server
	dir    string
	log    *slog.Logger
	over   *Handover
}

// requestSize is the largest read or write of the kernel, in bytes.
const requestSize = 1 << 20

// New mounts f at dir and serves it until it is unmounted, or goes on with the
// mount that is handed over. A dead mount that a killed process left at dir is
// removed first.
func New(f *vfs.FS, dir string, o Options) (*Mount, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	taken := o.Handover.Taken()
	if !taken { // nobody answers yet at a mount that is taken over
		if err := Clear(dir); err != nil {
			return nil, err
		}
	}
	h := &host{
		RawFileSystem: fuse.NewDefaultRawFileSystem(), f: f, log: o.Log, bars: o.Bars, over: o.Handover,
		nodes: map[uint64]*hosted{}, filled: map[uint64]struct{}{},
	}
	h.passthrough.Store(!o.NoPassthrough)
	root := os.Geteuid() == 0
	if root {
		unix.Umask(0) // modes come from the kernel as they shall be
	}
	server, err := h.serve(dir, &fuse.MountOptions{
		FsName: "looming", Name: "looming", DirectMount: root, DirectMountFlags: syscall.MS_MGC_VAL,
		AllowOther: root && !o.Private, Options: []string{"default_permissions"}, EnableAcl: root,
		MaxWrite: requestSize, MaxReadAhead: requestSize, MaxBackground: 64, MaxStackDepth: 1,
		ExtraCapabilities: fuse.CAP_DONT_MASK | fuse.CAP_ATOMIC_O_TRUNC, EnableSymlinkCaching: true,
		ExplicitDataCacheControl: true, DisabledCapabilities: disabled(o),
	})
	if err != nil {
		return nil, refused(dir, err)
	}
	present(server)
	if taken {
		h.resume()
		o.Handover.tidy()
		if err := o.Handover.askAgain(); err != nil {
			return nil, errors.Join(fmt.Errorf("going on with the mount at %s: %w", dir, err), o.Handover.End())
		}
	}
	if o.Handover != nil {
		o.Handover.serves()
	}
	go server.Serve() // ends when the file system is unmounted
	if err := server.WaitMount(); err != nil {
		return nil, errors.Join(fmt.Errorf("mounting at %s: %w", dir, err), server.Unmount())
	}
	return &Mount{server, dir, o.Log, o.Handover}, nil
}

// serve mounts, or goes on with a mount.
func (h *host) serve(dir string, opt *fuse.MountOptions) (*fuse.Server, error) {
	if h.over == nil {
		return fuse.NewServer(h, dir, opt)
	}
	return h.over.attach(h, dir, opt)
}

// refused says in one line why the kernel, or its helper, does not mount.
func refused(dir string, err error) error {
	device, unusable := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if unusable == nil {
		return errors.Join(fmt.Errorf("mounting at %s: %w", dir, err), device.Close())
	}
	said := err.Error() // with the helper's line end
	return fmt.Errorf("mounting at %s: %s (%w: FUSE must be there, and this user be let to use it)", dir, strings.TrimSpace(said), unusable)
}

func disabled(o Options) uint64 {
	if o.NoPassthrough {
		return fuse.CAP_PASSTHROUGH
	}
	return 0
}

// Wait returns when the file system is unmounted and every request is answered.
func (m *Mount) Wait() {
	m.server.Wait()
	m.over.served()
}

// Unmount unmounts. While files are open it fails with EBUSY.
func (m *Mount) Unmount() error {
	err := unix.Unmount(m.dir, 0)
	if errors.Is(err, unix.EPERM) {
		err = m.server.Unmount()
	}
	if err != nil {
		return fmt.Errorf("unmounting %s: %w", m.dir, err)
	}
	m.settle()
	return m.over.End()
}

// lastRequests is how long Unmount waits for the kernel to let go.
const lastRequests = 5 * time.Second

// settle waits until every request is answered. Another mount namespace may hold
// a copy of the mount for ever; there it ends with this process, and what is
// written through it until then goes to the same files.
func (m *Mount) settle() {
	done := make(chan struct{})
	go func() { // ends with the last copy of the mount
		m.Wait()
		close(done)
	}()
	t := time.NewTimer(lastRequests)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		m.log.Warn("unmounted, but another mount namespace still shows it: there it ends with this process", "mount", m.dir)
	}
}

// Detach takes the file system out of sight; it ends when its last file is closed.
func (m *Mount) Detach() error {
	return errors.Join(unix.Unmount(m.dir, unix.MNT_DETACH), m.over.End())
}

// Clear removes the mount of a process that died from dir.
func Clear(dir string) error {
	for range 8 { // dead mounts can lie upon each other
		var st unix.Statfs_t // attributes may still be in the kernel's memory
		err := unix.Statfs(dir, &st)
		if !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) {
			return nil
		}
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("removing the dead mount at %s: %w", dir, err)
		}
	}
	return fmt.Errorf("removing the dead mount at %s: it does not go away", dir)
}

// keep is how long the kernel may keep entries and attributes, and keepFleeting
// what comes and goes by itself.
const (
	keep         = 24 * time.Hour
	keepFleeting = 5 * time.Second
)

// kept is how long the kernel may keep a node's attributes, and the names in it.
func kept(n *vfs.Node) time.Duration {
	if n.Fleeting() {
		return keepFleeting
	}
	return keep
}
