package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/looming-project/looming/prefetch"
)

// keep is how long the kernel may keep what the file system said.
const keep = time.Hour

// record does a day's work in a tree, shown at point, and returns the encoded
// tally with its trace.
func record(ctx context.Context, tree, point string, d day) ([]byte, error) {
	if err := os.MkdirAll(point, 0o755); err != nil {
		return nil, err
	}
	rec := prefetch.NewRecorder(prefetch.RecorderOptions{TraceFor: time.Hour, Buffer: 1 << 18})
	var st syscall.Stat_t
	if err := syscall.Stat(tree, &st); err != nil {
		return nil, fmt.Errorf("%s: %w", tree, err)
	}
	root := &fs.LoopbackRoot{Path: tree, Dev: uint64(st.Dev)}
	top := &node{&fs.LoopbackNode{RootData: root}, rec}
	root.RootNode = top
	t := keep
	server, err := fs.Mount(point, top, &fs.Options{
		EntryTimeout: &t, AttrTimeout: &t, NegativeTimeout: &t,
		MountOptions: fuse.MountOptions{FsName: tree, Name: "replay", DirectMount: true, Options: []string{"ro"}, DisableXAttrs: true, AllowOther: true},
	})
	if err != nil {
		return nil, fmt.Errorf("showing %s at %s: %w", tree, point, err)
	}
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"-m", "--pid", "--fork", "--kill-child", "sh", "-c", session, "sh", point}, d.work...)...)
	cmd.Stderr = os.Stderr
	err = errors.Join(cmd.Run(), server.Unmount(), os.Remove(point))
	tally := &prefetch.Tally{}
	rec.Flush(tally)
	return tally.Encode(), err
}

// node is a node of go-fuse's loopback that notes what is used.
type node struct {
	*fs.LoopbackNode
	rec *prefetch.Recorder
}

var (
	_ fs.NodeWrapChilder    = (*node)(nil)
	_ fs.NodeLookuper       = (*node)(nil)
	_ fs.NodeOpendirHandler = (*node)(nil)
	_ fs.NodeOpener         = (*node)(nil)
	_ fs.NodeReader         = (*node)(nil)
)

// WrapChild implements fs.NodeWrapChilder.
func (n *node) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{child.(*fs.LoopbackNode), n.rec}
}

func (n *node) path() string { return n.Path(n.Root()) }

// Lookup implements fs.NodeLookuper.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.rec.Listed(n.path(), 0)
	return n.LoopbackNode.Lookup(ctx, name, out)
}

// OpendirHandle implements fs.NodeOpendirHandler.
func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	n.rec.Listed(n.path(), 0)
	return n.LoopbackNode.OpendirHandle(ctx, flags)
}

// handle hides what would let the kernel read past the node.
type handle struct {
	fs.FileReader
	fs.FileReleaser
}

// Open implements fs.NodeOpener.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, given, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return h, given, errno
	}
	var out fuse.AttrOut
	watched := n.Getattr(ctx, h, &out) == 0 && out.Size > small
	n.rec.Opened(n.path(), 0, watched)
	return &handle{h.(fs.FileReader), h.(fs.FileReleaser)}, given | fuse.FOPEN_KEEP_CACHE, 0
}

// Read implements fs.NodeReader.
func (n *node) Read(ctx context.Context, h fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.rec.Read(n.path(), 0, off, len(dest))
	return h.(*handle).FileReader.Read(ctx, dest, off)
}

// small is up to which size a file comes whole.
const small = 128 << 10
