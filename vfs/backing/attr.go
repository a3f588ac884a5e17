package backing

import "github.com/looming-project/looming/vfs/cvd"

// Attr is what the disk says about an entry.
type Attr struct {
	Ino  uint64
	Type cvd.Type
	// Mode is the permission bits with setuid, setgid and sticky.
	Mode         uint32
	Nlink        uint32
	UID, GID     uint32
	Major, Minor uint32
	Size         uint64
	// Blocks counts 512 bytes each, BlockSize is the preferred size of reads.
	Blocks              uint64
	BlockSize           uint32
	Atime, Mtime, Ctime cvd.Time
}

// DirEntry is one name that a directory lists.
type DirEntry struct {
	Name string
	Ino  uint64
	// Type may be 0 where the file system does not tell.
	Type cvd.Type
	// Next is where a later reading goes on behind this entry.
	Next int64
}

// Space is the room of the file system beneath, in bytes and in files.
type Space struct {
	BlockSize           uint32
	Blocks, Free, Avail uint64
	Files, FilesFree    uint64
	NameMax             uint32
}
