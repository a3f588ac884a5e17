package chunk

import (
	"bytes"
	"strings"
)

// Cut says how a file is cut by content: no chunk but the last is smaller than
// Min, none is larger than Max, and they are about Avg bytes long on average.
// Avg is a power of two, Min at least 64.
type Cut struct{ Min, Avg, Max int }

// The cuts that CutFor chooses from.
var (
	// Coarse is for what is replaced as a whole: programs, libraries, documents.
	Coarse = Cut{64 << 10, 256 << 10, 1 << 20}
	// Fine is for what holds many things of which some change: zip archives and disks.
	Fine = Cut{16 << 10, 64 << 10, 256 << 10}
	// Finest is for what changes in many small places, or holds files that are elsewhere too:
	// mailboxes, databases and tar archives.
	Finest = Cut{4 << 10, 16 << 10, 64 << 10}
)

// HeadMax is the number of leading bytes that CutFor looks at.
const HeadMax = 512

// CutFor chooses the cut for a file by its type alone: the last element of its
// path and its first HeadMax bytes (all of them, if there are fewer). It never
// looks at the size, so that a file that grows keeps its duplicates. The rule is
// frozen in ../cvd/FORMAT.md: a change of it costs every desktop its duplicates.
func CutFor(name string, head []byte) Cut {
	head = head[:min(len(head), HeadMax)]
	for _, m := range magics {
		if len(head) >= m.at && bytes.HasPrefix(head[m.at:], []byte(m.magic)) {
			return m.cut
		}
	}
	dot := strings.LastIndexByte(name, '.')
	if cut, ok := suffixes[strings.ToLower(name[dot+1:])]; ok && dot >= 0 {
		return cut
	}
	return Coarse
}

// magics are bytes that types of files begin with; the first that fits counts.
var magics = []struct {
	magic string
	at    int
	cut   Cut
}{
	{"From ", 0, Finest},                   // mbox
	{"SQLite format 3\x00", 0, Finest},     //
	{"PK\x03\x04", 0, Fine},                // zip, jar, odt, docx
	{"PK\x01\x02", 4, Fine},                // Mozilla's omni.ja: zip with its directory in front
	{"ustar", 257, Finest},                 // tar
	{"QFI\xfb", 0, Fine},                   // qcow2
	{"KDMV", 0, Fine},                      // vmdk
	{"<<< ", 0, Fine},                      // vdi
	{"vhdxfile", 0, Fine},                  //
	{"conectix", 0, Fine},                  // vhd
	{"!BDN", 0, Fine},                      // Outlook's pst and ost
	{"\x00\x01\x00\x00Standard ", 0, Fine}, // Access's mdb and accdb
}

// suffixes are names of the same where the leading bytes may say nothing.
var suffixes = map[string]Cut{
	"mbox": Finest, "tar": Finest, "sqlite": Finest, "sqlite3": Finest,
	"img": Fine, "raw": Fine, "vdi": Fine, "vhd": Fine, "vhdx": Fine, "vmdk": Fine, "qcow2": Fine,
	"db": Fine, "edb": Fine, "ibd": Fine, "ja": Fine,
}
