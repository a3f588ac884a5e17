//go:build windows || cgo

package winfsp

import (
	"fmt"
	"log/slog"

	"github.com/looming-project/looming/vfs"
	"github.com/winfsp/cgofuse/fuse"
)

// Options of a mount. The zero value works.
type Options struct {
	// Log gets errors that the numbers cannot tell; default slog.Default.
	Log *slog.Logger
	// Label is the volume's name in Windows; default Looming.
	Label string
}

// Mount is a mounted desktop.
type Mount struct {
	host *fuse.FileSystemHost
	dir  string
	done chan struct{}
}

// New mounts f at dir, on Windows a drive ("X:") or a directory that does not
// exist yet, and serves it until it is unmounted.
func New(f *vfs.FS, dir string, o Options) (m *Mount, err error) {
	defer func() {
		if why := recover(); why != nil { // cgofuse found no library
			err = fmt.Errorf("mounting at %s: %v: install it first", dir, why)
		}
	}()
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Label == "" {
		o.Label = "Looming"
	}
	h := &host{f: f, log: o.Log, ready: make(chan struct{})}
	m = &Mount{host: fuse.NewFileSystemHost(h), dir: dir, done: make(chan struct{})}
	prepare(m.host)
	failed := make(chan any, 1)
	go func() { // ends when the file system is unmounted
		defer close(m.done)
		defer func() { failed <- recover() }()
		m.host.Mount(dir, options(o))
	}()
	select {
	case <-h.ready:
		return m, nil
	case why := <-failed:
		if why != nil {
			return nil, fmt.Errorf("mounting at %s: %v: install it first", dir, why)
		}
		return nil, fmt.Errorf("mounting at %s was refused: see what was printed above", dir)
	}
}

// Wait returns when the file system is unmounted.
func (m *Mount) Wait() { <-m.done }
