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
	// TraceFor is how long first uses are kept with the start: 10 min by default, since on a slow line a start lasts that
	// long, and what follows it at once is waited for as well.
	TraceFor time.Duration
	// Buffer is how many different uses wait for the next Flush: 8192 by default. More are dropped, and counted.
	Buffer int
}

// Recorder notes uses from the making of it on, which is the start. Its methods may be called from any goroutine.
//
// What notes costs a short lock and no allocation; it never waits for a Flush at work.
type Recorder struct {
	o       RecorderOptions
	started time.Time
	seed    maphash.Seed

	flush sync.Mutex // guards spare, trace, used; taken before mu
	spare []event
	trace Trace
	used  used

	mu      sync.Mutex // guards what follows; held for a few instructions only
	login   time.Time
	events  []event
	slots   []int32 // by hash of the path: 1 + the index in events of the latest use, so that repeats become one event
	dropped uint64
}

// event is what one path went through since the last flush, by one user within one phase.
type event struct {
	path  string
	at    time.Time
	kind  kind
	phase Phase
	user  uint32
	opens uint32
	bytes uint64
	span  Span // of a read
}

// kind is what happened to a path.
type kind uint8

const (
	opened  kind = iota // a file whose reads are not seen
	watched             // a file whose reads are seen
	read
	listed // a directory
)

const slotCount = 4096

// NewRecorder starts a record now.
func NewRecorder(o RecorderOptions) *Recorder {
	if o.Now == nil {
		o.Now = time.Now
	}
	orDefault(&o.StartFor, time.Minute)
	orDefault(&o.LoginFor, time.Minute)
	orDefault(&o.Buffer, 8192)
	orDefault(&o.TraceFor, 10*time.Minute)
	r := &Recorder{o: o, started: o.Now(), seed: maphash.MakeSeed(), used: newUsed()}
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

// Opened notes that a user opened a file; seen says that Read is told of what is read of it.
func (r *Recorder) Opened(path string, user uint32, seen bool) {
	k := opened
	if seen {
		k = watched
	}
	r.note(event{path: path, kind: k, user: user, opens: 1})
}

// Read notes that a user read n bytes of a file at off.
func (r *Recorder) Read(path string, user uint32, off int64, n int) {
	if n <= 0 || off < 0 {
		return
	}
	if s, ok := spanOf(uint64(off), uint64(n)); ok {
		r.note(event{path: path, kind: read, user: user, bytes: uint64(n), span: s})
	}
}

// Listed notes that a user needed the names in a directory.
func (r *Recorder) Listed(path string, user uint32) {
	r.note(event{path: path, kind: listed, user: user, opens: 1})
}

func (r *Recorder) note(e event) {
	e.at = r.o.Now()
	slot := maphash.String(r.seed, e.path) % slotCount
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.login.IsZero() && ofPerson(e.user) {
		r.login = e.at
	}
	e.phase = r.phaseLocked(e.at)
	if i := r.slots[slot]; i > 0 && r.events[i-1].join(&e) {
		return
	}
	if len(r.events) == cap(r.events) {
		r.dropped++
		return
	}
	r.events = append(r.events, e)
	r.slots[slot] = int32(len(r.events))
}

// ofPerson says that a user's number is one that people have, on Linux: the first file that such a one opens is a login.
func ofPerson(user uint32) bool { return user >= 1000 && user < 60_000 }

// join adds o to e, if it is the same going on.
func (e *event) join(o *event) bool {
	if e.kind != o.kind || e.phase != o.phase || e.user != o.user || e.path != o.path || o.span.From > e.span.To || o.span.To < e.span.From {
		return false
	}
	e.opens += o.opens
	e.bytes += o.bytes
	e.span = Span{min(e.span.From, o.span.From), max(e.span.To, o.span.To)}
	return true
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
		t.count(e.path, e.at, cell{phase: e.phase, user: e.user, opens: e.opens, bytes: e.bytes})
		grown = r.first(&e) || grown
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

// first adds the first use of a path, or of a part, to the trace of the start.
func (r *Recorder) first(e *event) (grown bool) {
	if e.kind == watched || e.at.Sub(r.started) >= r.o.TraceFor || !validPath(e.path) {
		return false
	}
	for _, w := range r.used.first(Want{e.path, e.span, e.kind == listed}) {
		if len(r.trace.Uses) == MaxUses {
			break
		}
		r.trace.Uses = append(r.trace.Uses, Use{w, e.at.Sub(r.started), e.phase})
		grown = true
	}
	return grown
}
