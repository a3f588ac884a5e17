package main

import (
	"time"

	"github.com/looming-project/looming/prefetch"
)

// thing is what comes over the line: names of a directory, a small file, or one
// chunk of a larger one.
type thing struct {
	path string
	at   uint64
	dir  bool
}

// parcel is a thing on its way, not before a time: when it is known that it exists.
type parcel struct {
	thing
	bytes uint64
	from  time.Duration
}

// source gives parcels in an order; ok is false after the last.
type source func() (p parcel, ok bool)

// line is a line in simulated time, on which demand passes everything else. What
// prefetch sends fills the rest of it.
type line struct {
	rate  float64
	delay time.Duration
	next  source
	here  map[thing]time.Duration
	busy  time.Duration // until when what was sent takes the line
	head  *parcel       // the next of the source
	ended bool
}

func (l *line) takes(n uint64) time.Duration {
	return time.Duration(float64(n) / l.rate * float64(time.Second))
}

// advance sends what prefetch can send before now. What began before now arrives.
func (l *line) advance(now time.Duration) {
	for !l.ended {
		if l.head == nil {
			p, ok := l.next()
			if !ok {
				l.ended = true
				return
			}
			l.head = &p
		}
		begin := max(l.busy, l.head.from)
		if begin > now {
			return
		}
		if _, had := l.here[l.head.thing]; !had {
			l.busy = begin + l.takes(l.head.bytes)
			l.here[l.head.thing] = l.busy + l.delay
		}
		l.head = nil
	}
}

// use is a program that needs a thing at now: how long it waits, and whether it had to ask.
func (l *line) use(t thing, bytes uint64, now time.Duration) (wait time.Duration, miss bool) {
	l.advance(now)
	came, sent := l.here[t]
	if sent && came <= now {
		return 0, false
	}
	asked := now + l.delay + l.takes(bytes)
	if sent && came <= asked { // on its way already
		return came - now, false
	}
	l.busy = max(l.busy, now) + l.takes(bytes)
	l.here[t] = asked
	return asked - now, true
}

// chunk is how large the chunks of large files are, on average.
const chunk = 256 << 10

// things are what a use needs, with their bytes.
func (d *disk) things(w prefetch.Want, each func(thing, uint64)) {
	size, ok := d.files[w.Path]
	switch {
	case w.Dir:
		each(thing{path: w.Path, dir: true}, d.cost(w.Path))
	case !ok:
	case size <= small:
		each(thing{path: w.Path}, size)
	default:
		from, to := w.From, min(w.To, size)
		if w.Whole() {
			to = size
		}
		for at := from / chunk * chunk; at < to; at += chunk {
			each(thing{path: w.Path, at: at}, min(chunk, size-at))
		}
	}
}
