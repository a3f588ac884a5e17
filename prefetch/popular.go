package prefetch

import (
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"time"
)

// PopularMin is how many owners must know a path before anybody else is told of it.
const PopularMin = 2

// told are the directories whose paths others may be told of: a system's, which are the same on many machines.
var told = []string{
	"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "etc", "opt", "boot",
	"Program Files", "Program Files (x86)", "Windows",
}

// Popularity works out what the tallies of several owners have in common: a prior for desktops without a history. It is
// shown every tally twice, first to Count and then to Common, so that nobody needs to have all of them at once. It keeps
// a few bytes for every path.
type Popularity struct {
	seed  maphash.Seed
	known map[uint64]int // how many tallies know the path with this hash
}

// NewPopularity makes one that has seen nothing.
func NewPopularity() *Popularity {
	return &Popularity{maphash.MakeSeed(), map[uint64]int{}}
}

// Count takes note of what an owner's tally knows.
func (p *Popularity) Count(t *Tally) {
	for path := range t.known() {
		if isTold(path) {
			p.known[maphash.String(p.seed, path)]++
		}
	}
}

// Common is of a tally what at least so many know of those that were counted. It says neither users nor machines, nor more
// than the week of a start, and has the latest start alone: no owner has more of them than another.
func (p *Popularity) Common(t *Tally, least int) *Tally {
	out := &Tally{newest: t.newest}
	for path, cells := range t.paths {
		if !p.knows(path, least) {
			continue
		}
		var all []cell
		for _, c := range cells {
			c.user = 0
			all = addCell(all, c)
		}
		out.set(path, all)
	}
	for _, tr := range t.traces[:min(len(t.traces), 1)] {
		shared := Trace{Started: weekBegin(tr.Started), Machine: rand.Uint64()}
		for _, u := range tr.Uses {
			if p.knows(u.Path, least) {
				shared.Uses = append(shared.Uses, u)
			}
		}
		out.AddTrace(shared)
	}
	out.renew()
	return out
}

func (p *Popularity) knows(path string, least int) bool {
	return isTold(path) && p.known[maphash.String(p.seed, path)] >= least
}

// weekBegin is when the week of a time began.
func weekBegin(at time.Time) time.Time {
	return time.Unix(int64(weekOf(at))*int64(week/time.Second), 0).UTC()
}

// known are the paths in a tally.
func (t *Tally) known() map[string]struct{} {
	paths := make(map[string]struct{}, len(t.paths))
	for path := range t.paths {
		paths[path] = struct{}{}
	}
	for _, tr := range t.traces {
		for _, u := range tr.Uses {
			paths[u.Path] = struct{}{}
		}
	}
	return paths
}

func isTold(path string) bool {
	for _, dir := range told {
		if path == dir || strings.HasPrefix(path, dir) && path[len(dir)] == '/' {
			return true
		}
	}
	return false
}
