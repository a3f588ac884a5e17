package prefetch

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFormat says that bytes are not a tally. Callers go on with an empty one: what it held is learnt again.
var ErrFormat = errors.New("not a tally")

// reader takes numbers and strings off b and refuses what an encoder never makes.
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

// uint reads a number of at most most in its shortest form.
func (r *reader) uint(most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 || v > most {
		r.fail("a number is cut short, padded or larger than %d", most)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) raw(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("cut short")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// count reads how many things of at least size bytes follow.
func (r *reader) count(size int, most uint64) int {
	n := r.uint(most)
	if n > uint64(len(r.b)/size) {
		r.fail("cut short")
		return 0
	}
	return int(n)
}
