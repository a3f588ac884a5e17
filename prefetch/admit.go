package prefetch

import "slices"

// Of the traces in a full tally, those of guests are at most guestTraces: what its own starts have in common is then in
// more than half of all, and stays in the start set.
const guestTraces = (MaxTraces - 1) / 2

// Admit adds a tally of others, which are not trusted to know better: where there is no room for all, at least half of the
// places are the tally's own, and what others say of a start that it has does not count. It changes the other tally.
func (t *Tally) Admit(guest *Tally) {
	guest.trim(-min(len(t.paths), MaxPaths/2), -min(t.length, MaxPathBytes/2), -min(t.cells, MaxCells/2))
	guest.traces = slices.DeleteFunc(guest.traces, func(tr Trace) bool {
		_, found := slices.BinarySearchFunc(t.traces, tr, compareTraces)
		return found
	})
	room := MaxTraces - min(len(t.traces), MaxTraces-guestTraces)
	guest.traces = guest.traces[:min(len(guest.traces), room)]
	t.Merge(guest)
}
