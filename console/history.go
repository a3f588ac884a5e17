package console

// The sparkline: so many samples, one per refresh interval at most.
const historyLen = 60

// history keeps the rates of streams whose Fleet keeps none itself. Servers are stateless; the hub is not.
type history map[string][]int64

// sample adds one rate for each stream of m and forgets streams that are gone.
func (h history) sample(m Model) {
	seen := make(map[string]bool, len(m.Streams))
	for _, s := range m.Streams {
		seen[s.ID] = true
		rates := append(h[s.ID], s.BytesPerSecond)
		// A fresh slice when full: the old one may still be in a model that somebody encodes.
		if len(rates) > historyLen {
			rates = append([]int64(nil), rates[len(rates)-historyLen:]...)
		}
		h[s.ID] = rates
	}
	for id := range h {
		if !seen[id] {
			delete(h, id)
		}
	}
}

// fill puts the kept rates into the streams of m that have none.
func (h history) fill(m Model) {
	for i := range m.Streams {
		if s := &m.Streams[i]; s.RateHistory == nil {
			s.RateHistory = h[s.ID]
		}
	}
}
