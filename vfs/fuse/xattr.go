//go:build linux

package fuse

import "github.com/hanwen/go-fuse/v2/fuse"

// GetXAttr reads an extended attribute.
func (h *host) GetXAttr(_ <-chan struct{}, in *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	n, err := h.f.Getxattr(h.node(in), name, dest)
	return uint32(n), h.status("getxattr", err)
}

// ListXAttr lists names, each ended by a NUL.
func (h *host) ListXAttr(_ <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	names, err := h.f.Listxattr(h.node(in))
	if err != nil {
		return 0, h.status("listxattr", err)
	}
	var size int
	for _, n := range names {
		size += len(n) + 1
	}
	if len(dest) == 0 {
		return uint32(size), fuse.OK
	}
	if size > len(dest) {
		return uint32(size), fuse.ERANGE
	}
	at := 0
	for _, n := range names {
		at += copy(dest[at:], n)
		dest[at] = 0
		at++
	}
	return uint32(size), fuse.OK
}

// SetXAttr sets an extended attribute.
func (h *host) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, name string, data []byte) fuse.Status {
	ctx, end := wait(cancel, &in.InHeader)
	defer end()
	return h.status("setxattr", h.f.Setxattr(ctx, h.node(&in.InHeader), name, data, int(in.Flags)))
}

// RemoveXAttr removes an extended attribute.
func (h *host) RemoveXAttr(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	ctx, end := wait(cancel, in)
	defer end()
	return h.status("removexattr", h.f.Removexattr(ctx, h.node(in), name))
}
