package prefetch

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"
)

const (
	maxTable      = MaxPaths + MaxTraces*MaxUses
	maxTableBytes = MaxPathBytes + MaxTraces*MaxTraceBytes
	maxStarted    = 1 << 47 // milliseconds: beyond the year 6000
	maxAfter      = uint64(24 * time.Hour / time.Millisecond)
)

// Decode reads what Encode wrote; anything else is an ErrFormat. It takes memory in proportion to the tally's bounds,
// whatever the input says.
func Decode(b []byte) (*Tally, error) {
	if len(b) < len(magic)+4 || string(b[:len(magic)]) != magic && string(b[:len(magic)]) != magic1 {
		return nil, (&reader{}).failed("no tally of version 1 or 2")
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, (&reader{}).failed("the checksum does not match")
	}
	d := decoder{reader: reader{b: body[len(magic):]}, t: &Tally{}, old: string(b[:len(magic)]) == magic1}
	d.table()
	d.traces()
	d.check()
	if d.err != nil {
		return nil, d.err
	}
	return d.t, nil
}

func (r *reader) failed(what string) error {
	r.fail("%s", what)
	return r.err
}

type decoder struct {
	reader
	t      *Tally
	old    bool // version 1: no users, and of a trace only whole files
	paths  []string
	named  []bool // by index in paths: has counts or is in a trace
	length int
}

func (d *decoder) table() {
	d.t.newest = int32(d.uint(math.MaxInt32))
	n := d.count(4, maxTable)
	d.paths, d.named = make([]string, 0, n), make([]bool, n)
	d.t.paths = make(map[string][]cell, min(n, MaxPaths))
	for i := 0; i < n && d.err == nil; i++ {
		path := d.path()
		if cells := d.cells(); len(cells) > 0 && d.err == nil {
			d.t.set(path, cells)
			d.named[i] = true
		}
	}
	if d.t.over(0, 0, 0) {
		d.fail("too many paths")
	}
}

func (d *decoder) path() string {
	prev := ""
	if len(d.paths) > 0 {
		prev = d.paths[len(d.paths)-1]
	}
	n := int(d.uint(uint64(len(prev))))
	path := prev[:min(n, len(prev))] + string(d.raw(d.uint(PathMax)))
	d.length += len(path)
	if d.err == nil && (!validPath(path) || path <= prev || shared(prev, path) != n || d.length > maxTableBytes) {
		d.fail("path %q invalid, out of order or too much", path)
	}
	d.paths = append(d.paths, path)
	return path
}

func (d *decoder) cells() []cell {
	cells := make([]cell, d.count(3, MaxCells))
	key := uint64(0)
	for i := range cells {
		if key += d.uint(Weeks * uint64(phases)); d.old && i > 0 {
			key++
		}
		c := cell{week: d.t.newest - int32(key/uint64(phases)), phase: Phase(key % uint64(phases))}
		if !d.old {
			c.user = uint32(d.uint(math.MaxUint32))
		}
		c.opens, c.bytes = uint32(d.uint(opensMax)), d.uint(bytesMax)
		if key >= Weeks*uint64(phases) || c.week <= 0 || c.opens == 0 && c.bytes == 0 || i > 0 && compareCells(cells[i-1], c) >= 0 {
			d.fail("a count of nothing, out of order, or too old")
		}
		cells[i] = c
	}
	return cells
}

func (d *decoder) traces() {
	n := d.count(9, MaxTraces)
	for i := 0; i < n && d.err == nil; i++ {
		tr := d.trace()
		if i > 0 && compareTraces(d.t.traces[i-1], tr) >= 0 {
			d.fail("starts out of order")
		}
		d.t.traces = append(d.t.traces, tr)
	}
}

func (d *decoder) trace() Trace {
	tr := Trace{Started: time.UnixMilli(int64(d.uint(maxStarted))).UTC()}
	if m := d.raw(8); m != nil {
		tr.Machine = binary.BigEndian.Uint64(m)
	}
	tr.Uses = make([]Use, d.count(2, MaxUses))
	if len(tr.Uses) == 0 {
		d.fail("an empty start")
	}
	seen := newUsed()
	length, after := 0, uint64(0)
	for i := range tr.Uses {
		at := d.uint(maxTable)
		after += d.uint(maxAfter)
		u := d.what()
		if at >= uint64(len(d.paths)) || after > maxAfter {
			d.fail("a use that cannot be")
		}
		if d.err != nil {
			break
		}
		d.named[at] = true
		u.Path, u.After = d.paths[at], time.Duration(after)*time.Millisecond
		tr.Uses[i] = u
		if fresh := seen.first(u.Want); len(fresh) != 1 || fresh[0] != u.Want {
			d.fail("a use that is not the first")
		}
		if length += len(u.Path); length > MaxTraceBytes {
			d.fail("a start of too many paths")
		}
	}
	return tr
}

// what reads what a use is of, and when in the start.
func (d *decoder) what() (u Use) {
	if d.old {
		return u
	}
	n := d.uint(whats*uint64(phases) - 1)
	u.Phase = Phase(n % uint64(phases))
	switch n / uint64(phases) {
	case ofDir:
		u.Dir = true
	case ofPart:
		u.From = d.uint(spanMax/Grain) * Grain
		u.To = u.From + d.uint(spanMax/Grain)*Grain
		if u.To == u.From || u.To > spanMax {
			d.fail("a part of nothing, or too far")
		}
	}
	return u
}

// check refuses what decodes but is not how a tally would be written.
func (d *decoder) check() {
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes after the end", len(d.b))
	}
	for i, named := range d.named {
		if d.err == nil && !named {
			d.fail("path %q without a use", d.paths[i])
		}
	}
	newest := d.t.newest
	if d.t.renew(); d.err == nil && d.t.newest != newest {
		d.fail("no count in the newest week")
	}
}
