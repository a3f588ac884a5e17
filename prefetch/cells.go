package prefetch

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Phase says when in a session a file was used.
type Phase uint8

// The phases. The numbers are part of the format.
const (
	// Start is the first time after the mount or boot, see RecorderOptions.
	Start Phase = iota
	// Login is the time after somebody logged in.
	Login
	// Later is all the rest.
	Later

	phases
)

// Uses are counted per week, and a count weighs half as much after each HalfLife (forward decay, Cormode et al., ICDE
// 2009): whole counts can be merged in any order and give the same tally, which decayed sums of floats would not.
const (
	// HalfLife is the time in which a use loses half of its weight.
	HalfLife = 14 * 24 * time.Hour
	// Weeks is how many weeks a tally remembers, the newest included; what is older weighs less than 1/8000.
	Weeks = 26

	week = 7 * 24 * time.Hour
	// Counts stop here, so that sums fit and a broken counter cannot drown the rest.
	opensMax = 1 << 20
	bytesMax = 1 << 50
)

// weekOf returns the number of whole weeks since 1970, or -1 before.
func weekOf(t time.Time) int32 {
	s := t.Unix()
	if s < 0 || s/int64(week/time.Second) > math.MaxInt32 {
		return -1
	}
	return int32(s / int64(week/time.Second))
}

// cell counts the uses of one path by one user in one week and phase.
type cell struct {
	week  int32
	phase Phase
	user  uint32
	opens uint32
	bytes uint64
}

// compareCells orders by week, newest first, then by phase and user.
func compareCells(a, b cell) int {
	return cmp.Or(cmp.Compare(b.week, a.week), cmp.Compare(a.phase, b.phase), cmp.Compare(a.user, b.user))
}

// uses is how often the cell's path was used: an open that was not seen still counts once if something was read.
func (c cell) uses() uint32 { return max(c.opens, 1) }

func (c *cell) add(o cell) {
	c.opens = min(c.opens+o.opens, opensMax)
	c.bytes = min(c.bytes+o.bytes, bytesMax)
}

// addCell adds c to sorted cells.
func addCell(cells []cell, c cell) []cell {
	i, found := slices.BinarySearchFunc(cells, c, compareCells)
	if found {
		cells[i].add(c)
		return cells
	}
	return slices.Insert(cells, i, c)
}

// within cuts off what lies before the weeks that a tally with this newest week remembers.
func within(cells []cell, newest int32) []cell {
	i := len(cells)
	for i > 0 && cells[i-1].week <= newest-Weeks {
		i--
	}
	return cells[:i]
}

// weights are 2^32 halved every HalfLife, by age in weeks. Whole numbers make ranking equal on every machine.
var weights = func() (w [Weeks]uint64) {
	for age := range w {
		w[age] = uint64(math.Round(math.Exp2(32 - float64(age)*float64(week)/float64(HalfLife))))
	}
	return w
}()

// value ranks cells of one tally: all of them decay alike, so the order does not depend on the clock.
func value(cells []cell, newest int32) (v uint64) {
	for _, c := range cells {
		v += uint64(c.uses()) * phaseWeight(c.phase) * weights[newest-c.week]
	}
	return v
}

// phaseWeight counts what a person waits for at a login twice; what starts need is in the start set anyway.
func phaseWeight(p Phase) uint64 {
	if p == Login {
		return 2
	}
	return 1
}

// score is the number of uses, each weighted by its age at now.
func score(cells []cell, now time.Time) (s float64) {
	for _, c := range cells {
		middle := time.Unix(int64(c.week)*int64(week/time.Second), 0).Add(week / 2)
		age := max(now.Sub(middle), 0)
		s += float64(uint64(c.uses())*phaseWeight(c.phase)) * math.Exp2(-float64(age)/float64(HalfLife))
	}
	return s
}

// bytesPerUse is how much one use reads, 0 if reads were not seen.
func bytesPerUse(cells []cell) uint64 {
	var bytes, uses uint64
	for _, c := range cells {
		bytes += c.bytes
		uses += uint64(c.uses())
	}
	if uses == 0 {
		return 0
	}
	return bytes / uses
}
