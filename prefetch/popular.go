package prefetch

import "strings"

// private are the directories whose paths are nobody else's to know.
var private = []string{"home", "root", "Users", "srv", "mnt", "media", "tmp", "var/tmp", "var/mail", "var/spool"}

// Popular is what the tallies of several devices have in common: a prior for desktops without a history. It has only
// paths that two of them know at least and that are below nobody's home, and says neither users nor machines.
func Popular[Device comparable](tallies map[Device]*Tally) *Tally {
	known := map[string]int{}
	for _, t := range tallies {
		for path := range t.known() {
			if !isPrivate(path) {
				known[path]++
			}
		}
	}
	sum := &Tally{}
	for _, t := range tallies {
		sum.Merge(t.common(known))
	}
	for i := range sum.traces {
		sum.traces[i].Machine = uint64(len(sum.traces) - i)
	}
	return sum
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

// common is a tally without its users and the paths that fewer than two devices know.
func (t *Tally) common(known map[string]int) *Tally {
	out := &Tally{newest: t.newest}
	for path, cells := range t.paths {
		if known[path] < 2 {
			continue
		}
		var all []cell
		for _, c := range cells {
			c.user = 0
			all = addCell(all, c)
		}
		out.set(path, all)
	}
	for _, tr := range t.traces {
		shared := Trace{Started: tr.Started, Machine: tr.Machine}
		for _, u := range tr.Uses {
			if known[u.Path] >= 2 {
				shared.Uses = append(shared.Uses, u)
			}
		}
		out.AddTrace(shared)
	}
	out.renew()
	return out
}

func isPrivate(path string) bool {
	for _, dir := range private {
		if path == dir || strings.HasPrefix(path, dir) && path[len(dir)] == '/' {
			return true
		}
	}
	return false
}
