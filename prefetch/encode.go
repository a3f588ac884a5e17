package prefetch

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// magic is three letters and the version of the format; magic1 is what version 1 had.
const (
	magic  = "LMU\x02"
	magic1 = "LMU\x01"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode writes the tally as FORMAT.md says. One tally has exactly one encoding.
func (t *Tally) Encode() []byte {
	t.Trim()
	paths, index := t.table()
	b := []byte(magic)
	b = binary.AppendUvarint(b, uint64(t.newest))
	b = binary.AppendUvarint(b, uint64(len(paths)))
	prev := ""
	for _, p := range paths {
		b = appendPath(b, prev, p)
		b = appendCells(b, t.paths[p], t.newest)
		prev = p
	}
	b = binary.AppendUvarint(b, uint64(len(t.traces)))
	for _, tr := range t.traces {
		b = appendTrace(b, tr, index)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// table returns all paths in order, those of traces included, and where each stands.
func (t *Tally) table() (paths []string, index map[string]int) {
	index = make(map[string]int, len(t.paths))
	for p := range t.paths {
		index[p] = 0
	}
	for _, tr := range t.traces {
		for _, u := range tr.Uses {
			index[u.Path] = 0
		}
	}
	paths = make([]string, 0, len(index))
	for p := range index {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for i, p := range paths {
		index[p] = i
	}
	return paths, index
}

func appendPath(b []byte, prev, p string) []byte {
	n := shared(prev, p)
	b = binary.AppendUvarint(b, uint64(n))
	b = binary.AppendUvarint(b, uint64(len(p)-n))
	return append(b, p[n:]...)
}

// shared is the length of the prefix that a and b have in common.
func shared(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func appendCells(b []byte, cells []cell, newest int32) []byte {
	b = binary.AppendUvarint(b, uint64(len(cells)))
	last := uint64(0)
	for _, c := range cells {
		key := uint64(newest-c.week)*uint64(phases) + uint64(c.phase)
		b = binary.AppendUvarint(b, key-last)
		b = binary.AppendUvarint(b, uint64(c.user))
		b = binary.AppendUvarint(b, uint64(c.opens))
		b = binary.AppendUvarint(b, c.bytes)
		last = key
	}
	return b
}

func appendTrace(b []byte, tr Trace, index map[string]int) []byte {
	b = binary.AppendUvarint(b, uint64(tr.Started.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, tr.Machine)
	b = binary.AppendUvarint(b, uint64(len(tr.Uses)))
	last := int64(0)
	for _, u := range tr.Uses {
		ms := u.After.Milliseconds()
		b = binary.AppendUvarint(b, uint64(index[u.Path]))
		b = binary.AppendUvarint(b, uint64(ms-last))
		b = appendWhat(b, u)
		last = ms
	}
	return b
}

// What a use is of.
const (
	ofFile uint64 = iota
	ofDir
	ofPart
	whats
)

func appendWhat(b []byte, u Use) []byte {
	what := ofFile
	switch {
	case u.Dir:
		what = ofDir
	case !u.Whole():
		what = ofPart
	}
	b = binary.AppendUvarint(b, what*uint64(phases)+uint64(u.Phase))
	if what == ofPart {
		b = binary.AppendUvarint(b, u.From/Grain)
		b = binary.AppendUvarint(b, u.Len()/Grain)
	}
	return b
}
