package backing

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/looming-project/looming/vfs/chunk"
	"golang.org/x/sys/unix"
)

var errEOF = io.EOF

func isNoAttr(err error) bool { return errors.Is(err, unix.ENODATA) }
func isRange(err error) bool  { return errors.Is(err, unix.ERANGE) }
func isExist(err error) bool  { return errors.Is(err, unix.EEXIST) }

// isRefused says that only a superuser may do that.
func isRefused(err error) bool { return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) }

// Boot is a number for this boot of the machine, never 0.
func Boot() uint64 {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		b = []byte("unknown")
	}
	id := chunk.Sum([]byte(strings.TrimSpace(string(b))))
	return uint64At(id[:]) | 1
}
