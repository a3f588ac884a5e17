package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// keep is how long the kernel may keep what the loopback said.
const keep = time.Hour

// looped is a node of go-fuse's loopback whose directories and contents the
// kernel keeps.
type looped struct{ *fs.LoopbackNode }

var (
	_ fs.NodeOpendirHandler = (*looped)(nil)
	_ fs.NodeOpener         = (*looped)(nil)
	_ fs.NodeWrapChilder    = (*looped)(nil)
)

// WrapChild implements fs.NodeWrapChilder.
func (n *looped) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &looped{child.(*fs.LoopbackNode)}
}

// OpendirHandle implements fs.NodeOpendirHandler.
func (n *looped) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, given, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	return h, given | fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE, errno
}

// Open implements fs.NodeOpener.
func (n *looped) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, given, errno := n.LoopbackNode.Open(ctx, flags)
	return h, given | fuse.FOPEN_KEEP_CACHE, errno
}

// loopback shows a tree at a mount point until ctx ends: the floor of walks.
func loopback(ctx context.Context, tree, point string) error {
	var st syscall.Stat_t
	if err := syscall.Stat(tree, &st); err != nil {
		return fmt.Errorf("loopback of %s: %w", tree, err)
	}
	root := &fs.LoopbackRoot{Path: tree, Dev: uint64(st.Dev)}
	top := &looped{&fs.LoopbackNode{RootData: root}}
	root.RootNode = top
	t := keep
	server, err := fs.Mount(point, top, &fs.Options{
		EntryTimeout: &t, AttrTimeout: &t, NegativeTimeout: &t,
		MountOptions: fuse.MountOptions{FsName: tree, Name: "loopback", DirectMount: true, DisableXAttrs: true, MaxWrite: 1 << 20},
	})
	if err != nil {
		return fmt.Errorf("loopback of %s at %s: %w", tree, point, err)
	}
	<-ctx.Done()
	if err := server.Unmount(); err != nil {
		return err
	}
	server.Wait()
	return nil
}
