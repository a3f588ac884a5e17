package prefetch

import (
	"hash/maphash"
	"sync"
	"time"
)

// RecorderOptions tell a Recorder where and when it is; the zero value works.
type RecorderOptions struct {
	// Machine names the machine in traces.
	Machine uint64
	// Now is the clock; time.Now by default.
	Now func() time.Time
	// StartFor is how long the start lasts, unless a login ends it earlier: 60 s by default.
	StartFor time.Duration
	// LoginFor is how long the login phase lasts: 60 s by default.
	LoginFor time.Duration
	// Buffer is how many different uses wait for the next Flush: 8192 by default. More are dropped, and counted.
	Buffer int
}

// Recorder notes uses from the making of it on, which is the start. Its methods may be called from any goroutine.
//
// Opened and Read cost a short lock and no allocation; they never wait for a Flush at work.
type Recorder struct {
	o       RecorderOptions
	started time.Time
	seed    maphash.Seed

	flush sync.Mutex // guards spare, trace, seen; taken before mu
	spare []event
	trace Trace
	seen  map[string]struct{}

	mu      sync.Mutex // guards what follows; held for a few instructions only
	login   time.Time
	events  []event
	slots   []int32 // by hash of the path: 1 + the index in events of the latest use, so that repeats become one event
	dropped uint64
}

// event is what one path went through since the last flush, within one phase.
type event struct {
	path  string
	at    time.Time
	opens uint32
	phase Phase
	bytes uint64
}

const slotCount = 4096

// NewRecorder starts a record now.
func NewRecorder(o RecorderOptions) *Recorder {
	if o.Now == nil {
		o.Now = time.Now
	}
	orDefault(&o.StartFor, time.Minute)
	orDefault(&o.LoginFor, time.Minute)
	orDefault(&o.Buffer, 8192)
	r := &Recorder{o: o, started: o.Now(), seed: maphash.MakeSeed(), seen: map[string]struct{}{}}
	r.trace = Trace{Started: r.started, Machine: o.Machine}
	r.events, r.slots = make([]event, 0, o.Buffer), make([]int32, slotCount)
	return r
}

func orDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Login says that somebody has just logged in: the start is over.
func (r *Recorder) Login() {
	now := r.o.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.login = now
}

// Opened notes that a file was opened.
func (r *Recorder) Opened(path string) { r.note(path, 1, 0) }

// Read notes that n bytes of a file were read at off.
func (r *Recorder) Read(path string, off int64, n int) {
	if n > 0 && off >= 0 {
		r.note(path, 0, uint64(n))
	}
}

func (r *Recorder) note(path string, opens uint32, bytes uint64) {
	now := r.o.Now()
	slot := maphash.String(r.seed, path) % slotCount
	r.mu.Lock()
	defer r.mu.Unlock()
	phase := r.phaseLocked(now)
	if i := r.slots[slot]; i > 0 {
		if e := &r.events[i-1]; e.phase == phase && e.path == path {
			e.opens += opens
			e.bytes += bytes
			return
		}
	}
	if len(r.events) == cap(r.events) {
		r.dropped++
		return
	}
	r.events = append(r.events, event{path, now, opens, phase, bytes})
	r.slots[slot] = int32(len(r.events))
}

func (r *Recorder) phaseLocked(now time.Time) Phase {
	switch {
	case !r.login.IsZero() && now.Sub(r.login) < r.o.LoginFor:
		return Login
	case r.login.IsZero() && now.Sub(r.started) < r.o.StartFor:
		return Start
	default:
		return Later
	}
}

// Dropped counts the uses that were lost because nobody flushed in time.
func (r *Recorder) Dropped() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

// Flush moves what was noted into t, and the trace of this start as far as it is known.
func (r *Recorder) Flush(t *Tally) {
	r.flush.Lock()
	defer r.flush.Unlock()
	events := r.take()
	grown := false
	for _, e := range events {
		t.count(e.path, e.phase, e.at, e.opens, e.bytes)
		grown = r.first(e) || grown
	}
	if grown {
		t.AddTrace(r.trace)
	}
	clear(events) // lets go of the paths
	r.spare = events
}

func (r *Recorder) take() []event {
	fresh := r.spare[:0]
	if cap(fresh) == 0 {
		fresh = make([]event, 0, r.o.Buffer)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = fresh
	clear(r.slots)
	return events
}

// first adds the first use of a path to the trace of the start.
func (r *Recorder) first(e event) bool {
	if _, again := r.seen[e.path]; again || e.phase != Start || len(r.trace.Uses) == MaxUses || !validPath(e.path) {
		return false
	}
	r.seen[e.path] = struct{}{}
	r.trace.Uses = append(r.trace.Uses, Use{e.path, e.at.Sub(r.started)})
	return true
}
