//go:build linux

package fuse

import (
	"os"
	"reflect"
	"sync"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// present has the memory into which a server reads requests be there before the
// kernel writes to it. Where it is not, a request that the kernel is handing to a
// process just killed cannot wait for it, and fails with EIO. go-fuse has no option
// for its buffers.
func present(s *fuse.Server) {
	f := reflect.ValueOf(s).Elem().FieldByName("readPool")
	if !f.IsValid() || f.Type() != reflect.TypeFor[sync.Pool]() {
		return
	}
	pool := (*sync.Pool)(unsafe.Pointer(f.UnsafeAddr()))
	before := pool.New
	pool.New = func() any { return touched(before()) }
	pool.Put(touched(pool.Get()))
}

func touched(buf any) any {
	if b, ok := buf.([]byte); ok {
		for i := 0; i < len(b); i += os.Getpagesize() {
			b[i] = 0
		}
	}
	return buf
}
