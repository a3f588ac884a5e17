package cvd

import (
	"encoding/binary"
	"fmt"

	"github.com/looming-project/looming/vfs/chunk"
)

// writer appends the primitives of the format.
type writer []byte

func (w *writer) uint(v uint64)   { *w = binary.AppendUvarint(*w, v) }
func (w *writer) int(v int64)     { *w = binary.AppendVarint(*w, v) }
func (w *writer) byte(b byte)     { *w = append(*w, b) }
func (w *writer) raw(b []byte)    { *w = append(*w, b...) }
func (w *writer) bytes(b []byte)  { w.uint(uint64(len(b))); w.raw(b) }
func (w *writer) string(s string) { w.uint(uint64(len(s))); *w = append(*w, s...) }

// reader takes them off again and refuses what a writer never makes.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
		r.b = nil
	}
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail("bad number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	u := r.uint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) uint32() uint32 {
	v := r.uint()
	if v > 1<<32-1 {
		r.fail("number %d is too large", v)
	}
	return uint32(v)
}

func (r *reader) byte() byte {
	b := r.raw(1)
	if b == nil {
		return 0
	}
	return b[0]
}

func (r *reader) raw(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("cut short")
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) bytes() []byte  { return r.raw(r.uint()) }
func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) id() (id chunk.ID) {
	copy(id[:], r.raw(uint64(len(id))))
	return id
}

// count reads how many things of at least size bytes follow.
func (r *reader) count(size int) int {
	n := r.uint()
	if n > uint64(len(r.b)/size) {
		r.fail("cut short")
		return 0
	}
	return int(n)
}
