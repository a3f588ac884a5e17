package backing

import (
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/looming-project/looming/vfs/chunk"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

var errEOF = io.EOF

func isNoAttr(err error) bool { return errors.Is(err, syscall.ENODATA) }
func isRange(err error) bool  { return errors.Is(err, syscall.ERANGE) }
func isExist(err error) bool  { return errors.Is(err, fs.ErrExist) }

// isRefused says that this user may not do that, or that Windows cannot.
func isRefused(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, windows.ERROR_PRIVILEGE_NOT_HELD)
}

// Boot is a number for this boot of the machine, never 0: Windows counts them.
func Boot() uint64 {
	const path = `SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters`
	var count uint64
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE); err == nil {
		count, _, _ = k.GetIntegerValue("BootId") // 0 where it is not counted
		_ = k.Close()
	}
	id := chunk.Sum(appendUint64([]byte("boot"), count))
	return uint64At(id[:]) | 1
}
