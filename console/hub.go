package console

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// The pace of the feed.
const (
	minInterval  = 250 * time.Millisecond // between two changes: at most four a second
	refreshEvery = 2 * time.Second        // without a wake, so that rates and offline states decay
	fleetTimeout = 10 * time.Second       // for one read of the model
	watchPause   = 3 * time.Second        // before a failed Watch is called again
	ringLen      = 64                     // changes kept for readers that lag: 16 s of them
)

// hub holds the published state and the last changes. Readers pull: each keeps its own place and takes what came after
// it, so publishing never waits for anybody, and a reader that fell out of the ring gets a snapshot.
type hub struct {
	fleet Fleet
	log   *slog.Logger
	wakes chan struct{} // one waiting wake stands for any number

	rates   history // touched by refresh alone
	model   Model   // the last one read, likewise
	sampled time.Time

	mu       sync.Mutex // guards everything below
	now      state
	at       time.Time
	seq      uint64            // number of now; 0: nothing published yet
	ring     []json.RawMessage // messages seq-len(ring)+1 .. seq
	snapshot json.RawMessage   // now as a message, encoded when first asked for
	changed  chan struct{}     // closed at the next publish
	readers  int
	running  bool
	done     chan struct{}  // closed when Run ends
	gone     sync.WaitGroup // readers
}

func newHub(fleet Fleet, log *slog.Logger) *hub {
	return &hub{
		fleet: fleet, log: log, rates: history{},
		wakes: make(chan struct{}, 1), changed: make(chan struct{}), done: make(chan struct{}),
	}
}

// run refreshes and publishes until ctx ends, then waits for the readers to leave.
func (h *hub) run(ctx context.Context) error {
	h.mu.Lock()
	if h.running {
		h.mu.Unlock()
		return fmt.Errorf("console: Run called twice")
	}
	h.running = true
	h.mu.Unlock()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.watch(ctx) })
	g.Go(func() error { return h.refreshLoop(ctx) })
	err := g.Wait()

	h.mu.Lock()
	h.running = false
	close(h.done)
	h.mu.Unlock()
	h.gone.Wait()
	return err
}

// watch keeps Fleet.Watch going. Losing it costs latency only, so it is logged and tried again.
func (h *hub) watch(ctx context.Context) error {
	for {
		err := h.fleet.Watch(ctx, h.wake)
		if ctx.Err() != nil {
			return nil
		}
		h.log.Warn("console: watching for changes stopped, trying again", "pause", watchPause, "error", err)
		if !pause(ctx, watchPause) {
			return nil
		}
	}
}

// wake asks for a refresh soon. It never blocks.
func (h *hub) wake() {
	select {
	case h.wakes <- struct{}{}:
	default:
	}
}

// refreshLoop refreshes on a wake, but not more often than minInterval, and otherwise every refreshEvery.
func (h *hub) refreshLoop(ctx context.Context) error {
	for {
		h.refresh(ctx)
		if !pause(ctx, minInterval) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-h.woken():
		case <-time.After(refreshEvery - minInterval):
		}
	}
}

// woken is the wakes, or nothing while no page is open: then the slow tick is enough.
func (h *hub) woken() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readers == 0 && h.seq > 0 {
		return nil
	}
	return h.wakes
}

// refresh reads the model once and publishes it. A model that cannot be read leaves the last one standing and says so.
func (h *hub) refresh(ctx context.Context) {
	readCtx, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	m, err := h.fleet.Fleet(readCtx)
	if ctx.Err() != nil {
		return
	}
	health := Health{OK: true}
	if err != nil {
		h.log.Warn("console: cannot read the live model", "error", err)
		health = Health{Message: "The server cannot read its own state, so these figures are old. It keeps trying; its log and /readyz say why."}
		m = h.model
	} else if now := time.Now(); now.Sub(h.sampled) >= refreshEvery-minInterval {
		h.rates.sample(m)
		h.sampled = now
	}
	h.model = m
	m.Streams = slices.Clone(m.Streams) // the Fleet may still hold its own
	h.rates.fill(m)
	if err := h.publish(m, health, time.Now().UTC()); err != nil {
		h.log.Error("console: cannot publish the live model", "error", err)
	}
}

// publish makes m the state. If nothing differs, nothing is sent.
func (h *hub) publish(m Model, health Health, at time.Time) error {
	next, err := encode(m, health)
	if err != nil {
		return err
	}
	h.mu.Lock()
	prev, seq := h.now, h.seq
	h.mu.Unlock()

	c, differs := diff(prev, next)
	if !differs && seq > 0 {
		return nil
	}
	c.Seq, c.At = seq+1, at
	msg, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("console: encode change %d: %w", c.Seq, err)
	}
	h.advance(next, c.Seq, at, msg)
	return nil
}

func (h *hub) advance(next state, seq uint64, at time.Time, msg json.RawMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now, h.seq, h.at, h.snapshot = next, seq, at, nil
	h.ring = append(h.ring, msg)
	if len(h.ring) > ringLen {
		h.ring = append(h.ring[:0:0], h.ring[len(h.ring)-ringLen:]...)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// after returns what a reader that has everything up to seq must be sent, the number it has then, and a channel that
// closes when there is more. A reader with nothing (0), or one who is too far behind, gets one snapshot.
func (h *hub) after(seq uint64) (msgs []json.RawMessage, next uint64, more <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq == h.seq {
		return nil, seq, h.changed, nil
	}
	behind := h.seq - seq
	if seq > 0 && seq < h.seq && behind <= uint64(len(h.ring)) {
		return h.ring[uint64(len(h.ring))-behind:], h.seq, h.changed, nil
	}
	if h.snapshot == nil {
		c := whole(h.now)
		c.Seq, c.At = h.seq, h.at
		if h.snapshot, err = json.Marshal(c); err != nil {
			return nil, seq, h.changed, fmt.Errorf("console: encode snapshot %d: %w", h.seq, err)
		}
	}
	return []json.RawMessage{h.snapshot}, h.seq, h.changed, nil
}

// join counts a reader in; false while the hub does not run.
func (h *hub) join() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.running {
		return false
	}
	h.readers++
	h.gone.Add(1)
	return true
}

func (h *hub) leave() {
	h.mu.Lock()
	h.readers--
	h.mu.Unlock()
	h.gone.Done()
}

// pause waits; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
