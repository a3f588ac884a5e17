package backing

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// shareAll lets others read, write, rename and delete what is open here.
const shareAll = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE

// What handles are opened for.
const (
	forDir   = windows.FILE_LIST_DIRECTORY | windows.FILE_TRAVERSE | forAttr
	forAttr  = windows.FILE_READ_ATTRIBUTES | windows.SYNCHRONIZE
	forTimes = forAttr | windows.FILE_WRITE_ATTRIBUTES
)

// ntOpen opens name relative to the directory behind at; "" opens what is behind
// at once more. Reparse points are opened themselves, not followed. A name that
// Windows cannot have, such as one with a colon from Linux, is refused.
func ntOpen(at windows.Handle, name string, access, attributes, disposition, options uint32) (windows.Handle, error) {
	if strings.ContainsAny(name, `\/:`) {
		return 0, fmt.Errorf("the name %q is none on Windows: %w", name, syscall.EINVAL)
	}
	return ntOpenAny(at, name, access, attributes, disposition, options)
}

// ntOpenAny is ntOpen for streams as well.
func ntOpenAny(at windows.Handle, name string, access, attributes, disposition, options uint32) (windows.Handle, error) {
	us, err := windows.NewNTUnicodeString(name)
	if err != nil {
		return 0, err
	}
	oa := windows.OBJECT_ATTRIBUTES{RootDirectory: at, ObjectName: us, Attributes: windows.OBJ_CASE_INSENSITIVE}
	oa.Length = uint32(unsafe.Sizeof(oa))
	var h windows.Handle
	var iosb windows.IO_STATUS_BLOCK
	err = windows.NtCreateFile(&h, access|windows.SYNCHRONIZE, &oa, &iosb, nil, attributes, shareAll, disposition,
		options|windows.FILE_SYNCHRONOUS_IO_NONALERT|windows.FILE_OPEN_REPARSE_POINT|windows.FILE_OPEN_FOR_BACKUP_INTENT, 0, 0)
	return h, plain(err)
}

// plain makes an NT status the error that callers know.
func plain(err error) error {
	var status windows.NTStatus
	if !errors.As(err, &status) {
		return err
	}
	switch status {
	case windows.STATUS_NOT_A_DIRECTORY:
		return syscall.ENOTDIR
	case windows.STATUS_FILE_IS_A_DIRECTORY:
		return syscall.EISDIR
	case windows.STATUS_DIRECTORY_NOT_EMPTY:
		return syscall.ENOTEMPTY
	case windows.STATUS_OBJECT_NAME_INVALID:
		return syscall.ENOENT
	}
	return status.Errno()
}

// with opens name below at for one call.
func with(at windows.Handle, name string, access uint32, call func(windows.Handle) error) error {
	h, err := ntOpen(at, name, access, 0, windows.FILE_OPEN, 0)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	return call(h)
}

// pathOf is where the handle's entry is now, in the form without a length limit.
func pathOf(h windows.Handle) (string, error) {
	for size := uint32(windows.MAX_PATH); ; {
		buf := make([]uint16, size)
		n, err := windows.GetFinalPathNameByHandle(h, &buf[0], size, 0)
		if err != nil {
			return "", err
		}
		if n < size {
			return windows.UTF16ToString(buf[:n]), nil
		}
		size = n + 1
	}
}

// longPath returns path in the form that is not cut at 260 characters.
func longPath(path string) string {
	if strings.HasPrefix(path, `\\`) {
		return path
	}
	return `\\?\` + path
}

// basicInfo is FILE_BASIC_INFO: times in 100 ns since 1601, 0 in a call that
// sets them leaves one as it is.
type basicInfo struct {
	Created, Accessed, Written, Changed int64
	Attributes                          uint32
	_                                   uint32
}

func getBasic(h windows.Handle) (b basicInfo, err error) {
	err = windows.GetFileInformationByHandleEx(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&b)), uint32(unsafe.Sizeof(b)))
	return b, err
}

func setBasic(h windows.Handle, b basicInfo) error {
	return windows.SetFileInformationByHandle(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&b)), uint32(unsafe.Sizeof(b)))
}

// unlinkHandle removes the name that h was opened by; who has the file open keeps it.
func unlinkHandle(h windows.Handle) error {
	flags := uint32(windows.FILE_DISPOSITION_DELETE | windows.FILE_DISPOSITION_POSIX_SEMANTICS | windows.FILE_DISPOSITION_IGNORE_READONLY_ATTRIBUTE)
	err := windows.SetFileInformationByHandle(h, windows.FileDispositionInfoEx, (*byte)(unsafe.Pointer(&flags)), uint32(unsafe.Sizeof(flags)))
	if errors.Is(err, windows.ERROR_DIR_NOT_EMPTY) {
		return syscall.ENOTEMPTY
	}
	return err
}

// isUnsupported says that the file system has no such call.
func isUnsupported(err error) bool {
	return errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_NOT_SUPPORTED) || errors.Is(err, os.ErrInvalid)
}
