package backing

import (
	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sys/windows"
)

// rawBits together say that an entry is not complete yet, as the modes rawFile
// and rawDir do where there are modes.
const rawBits = windows.FILE_ATTRIBUTE_HIDDEN | windows.FILE_ATTRIBUTE_SYSTEM | windows.FILE_ATTRIBUTE_NOT_CONTENT_INDEXED

// modeBits are the attributes that Chmod owns.
const modeBits = rawBits | windows.FILE_ATTRIBUTE_READONLY | windows.FILE_ATTRIBUTE_NORMAL

// attributesFor are the attributes for a mode.
func attributesFor(mode uint32) uint32 {
	switch {
	case mode == rawFile || mode == rawDir:
		return rawBits
	case mode&0o222 == 0:
		return windows.FILE_ATTRIBUTE_READONLY
	}
	return windows.FILE_ATTRIBUTE_NORMAL
}

// modeOf is a mode as POSIX programs expect one.
func modeOf(t cvd.Type, attributes uint32) uint32 {
	mode := uint32(0o644)
	switch {
	case t == cvd.Symlink:
		return 0o777
	case attributes&rawBits == rawBits && t == cvd.Dir:
		return rawDir
	case attributes&rawBits == rawBits:
		return rawFile
	case t == cvd.Dir:
		mode = 0o755
	}
	if attributes&windows.FILE_ATTRIBUTE_READONLY != 0 {
		mode &^= 0o222
	}
	return mode
}

// typeOfAttributes is what an entry is. Reparse points other than symlinks and
// mount points (a file in a cloud, one of many deduplicated) are what they stand for.
func typeOfAttributes(attributes, tag uint32) cvd.Type {
	if attributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 && (tag == windows.IO_REPARSE_TAG_SYMLINK || tag == windows.IO_REPARSE_TAG_MOUNT_POINT) {
		return cvd.Symlink
	}
	if attributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0 {
		return cvd.Dir
	}
	return cvd.File
}

func statHandle(h windows.Handle) (Attr, error) {
	var i windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &i); err != nil {
		return Attr{}, err
	}
	b, err := getBasic(h)
	if err != nil {
		return Attr{}, err
	}
	t := typeOfAttributes(i.FileAttributes, reparseTag(h, i.FileAttributes))
	size := uint64(i.FileSizeHigh)<<32 | uint64(i.FileSizeLow)
	return Attr{
		Ino: uint64(i.FileIndexHigh)<<32 | uint64(i.FileIndexLow), Type: t, Mode: modeOf(t, i.FileAttributes),
		Nlink: i.NumberOfLinks, Size: size, Blocks: (size + 511) / 512, BlockSize: cluster,
		Atime: timeOf(b.Accessed), Mtime: timeOf(b.Written), Ctime: timeOf(b.Changed),
	}, nil
}

// attributeTag is FILE_ATTRIBUTE_TAG_INFO.
type attributeTag struct{ Attributes, Tag uint32 }

func reparseTag(h windows.Handle, attributes uint32) uint32 {
	if attributes&windows.FILE_ATTRIBUTE_REPARSE_POINT == 0 {
		return 0
	}
	var t attributeTag
	if err := attributeTagOf(h, &t); err != nil {
		return 0
	}
	return t.Tag
}

// epoch is 1970 in 100 ns since 1601.
const epoch = 116444736000000000

func timeOf(t int64) cvd.Time {
	t -= epoch
	sec, rest := t/1e7, t%1e7
	if rest < 0 {
		sec, rest = sec-1, rest+1e7
	}
	return cvd.Time{Sec: sec, Nsec: uint32(rest * 100)}
}

// Times of SetTimes.
const (
	// TimeOmit as nanoseconds leaves a time as it is, TimeNow takes the disk's clock.
	TimeOmit = 1<<30 - 2
	TimeNow  = 1<<30 - 1
)

// fileTime is t as Windows has it: 0 leaves a time as it is.
func fileTime(t cvd.Time) int64 {
	switch t.Nsec {
	case TimeOmit:
		return 0
	case TimeNow:
		var now windows.Filetime
		windows.GetSystemTimeAsFileTime(&now)
		return int64(now.HighDateTime)<<32 | int64(now.LowDateTime)
	}
	return max(t.Sec*1e7+int64(t.Nsec/100)+epoch, 1)
}

func setTimes(h windows.Handle, atime, mtime cvd.Time) error {
	return setBasic(h, basicInfo{Accessed: fileTime(atime), Written: fileTime(mtime)})
}

func chmodHandle(h windows.Handle, mode uint32) error {
	b, err := getBasic(h)
	if err != nil {
		return err
	}
	attributes := b.Attributes&^modeBits | attributesFor(mode)
	if attributes&^windows.FILE_ATTRIBUTE_NORMAL != 0 {
		attributes &^= windows.FILE_ATTRIBUTE_NORMAL // valid only alone
	}
	return setBasic(h, basicInfo{Attributes: attributes})
}

// Linux's file type bits, as FUSE and WinFsp use them.
var typeModes = [...]uint32{
	cvd.File: 0o100000, cvd.Dir: 0o040000, cvd.Symlink: 0o120000, cvd.CharDevice: 0o020000,
	cvd.BlockDevice: 0o060000, cvd.Fifo: 0o010000, cvd.Socket: 0o140000,
}

// TypeMode returns the file type bits of a Linux mode for t.
func TypeMode(t cvd.Type) uint32 { return typeModes[t] }

// ModeType returns the type that a Linux mode has.
func ModeType(mode uint32) cvd.Type {
	for t, m := range typeModes {
		if m != 0 && mode&0o170000 == m {
			return cvd.Type(t)
		}
	}
	return cvd.File
}
