package scan

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/looming-project/looming/vfs/cvd"
)

// stat is what the file system says about an entry without opening it.
type stat struct {
	Ino, Size, Rdev       uint64
	Mtime, Ctime          cvd.Time
	Mode, UID, GID, Nlink uint32

	// Not part of the key: they say nothing about a change.
	dev, blocks uint64
	// created is in 100 ns since 1601, where the system has it.
	//lint:ignore U1000 sys_windows.go sets it
	created uint64
}

// keySize is the length of a key.
const keySize = 64

// key is what an entry is compared by with the stat cache.
type key [keySize]byte

func (st *stat) key() (k key) {
	le := binary.LittleEndian
	le.PutUint64(k[0:], st.Ino)
	le.PutUint64(k[8:], st.Size)
	le.PutUint64(k[16:], st.Rdev)
	le.PutUint64(k[24:], uint64(st.Mtime.Sec))
	le.PutUint64(k[32:], uint64(st.Ctime.Sec))
	le.PutUint32(k[40:], st.Mtime.Nsec)
	le.PutUint32(k[44:], st.Ctime.Nsec)
	le.PutUint32(k[48:], st.Mode)
	le.PutUint32(k[52:], st.UID)
	le.PutUint32(k[56:], st.GID)
	le.PutUint32(k[60:], st.Nlink)
	return k
}

// same says whether two stats are of one file in the same state.
func (st *stat) same(o *stat) bool { return st.dev == o.dev && st.key() == o.key() }

// entry fills in what the stat knows.
func (st *stat) entry(name string) cvd.Entry {
	e := cvd.Entry{Name: name, Type: st.kind(), Mode: st.Mode & 0o7777, UID: st.UID, GID: st.GID, Mtime: st.Mtime}
	switch e.Type {
	case cvd.File:
		e.Size = st.Size
	case cvd.CharDevice, cvd.BlockDevice:
		e.Major, e.Minor = st.device()
	}
	e.Windows = st.windows()
	return e
}

// granularity is the coarsest step of a clock by which file systems mark changes.
const granularity = 2 * time.Second

// racy says whether a later change could leave the stat as it is: it changed so lately that another
// change may get the same times.
func (st *stat) racy(since time.Time) bool {
	return !st.Ctime.Std().Before(since.Add(-granularity))
}

func compare(a, b string) int { return strings.Compare(a, b) }
