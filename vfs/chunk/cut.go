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
	// Coarse is for what is replaced as a whole.
	Coarse = Cut{64 << 10, 256 << 10, 1 << 20}
	// Fine is for what is changed in places while it lives.
	Fine = Cut{16 << 10, 64 << 10, 256 << 10}
)

// HeadMax is the number of leading bytes that CutFor looks at.
const HeadMax = 512

// CutFor chooses the cut for a file by its type alone: the last element of its
// path and its first HeadMax bytes (all of them, if there are fewer). It never
// looks at the size, so that a file that grows keeps its duplicates. The rule is
// frozen in ../cvd/FORMAT.md: a change of it costs every desktop its duplicates.
func CutFor(name string, head []byte) Cut {
	head = head[:min(len(head), HeadMax)]
	for _, magic := range fineMagic {
		if bytes.HasPrefix(head, []byte(magic)) {
			return Fine
		}
	}
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 && fineSuffix[strings.ToLower(name[dot+1:])] {
		return Fine
	}
	return Coarse
}

// fineMagic are the leading bytes of mailboxes, databases and virtual disks.
var fineMagic = []string{
	"From ",
	"SQLite format 3\x00",
	"QFI\xfb",               // qcow2
	"# Disk DescriptorFile", // vmdk
	"KDMV",                  // vmdk
	"<<< ",                  // vdi
	"vhdxfile",
	"conectix", // vhd
	"!BDN",     // Outlook's pst and ost
}

// fineSuffix are names of the same where the leading bytes say nothing.
var fineSuffix = map[string]bool{
	"mbox": true, "img": true, "raw": true, "vdi": true, "vhd": true, "vmdk": true, "qcow2": true,
	"db": true, "sqlite": true, "sqlite3": true, "mdb": true, "edb": true, "pst": true, "ost": true,
}
