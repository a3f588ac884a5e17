package session

import (
	"io"
	"time"
)

// While a request holds a window, its peer must take paceBytes within paceTime, and the whole of it at paceRate. That is
// little enough for a link of 256 kbit/s with four requests under way. What came whole by then is the endpoint's.
const (
	paceBytes = 64 << 10
	paceTime  = 20 * time.Second
	paceRate  = 8 << 10 // bytes a second
)

// deadliner is a connection to a peer. The zero time gives its own deadline back to it.
type deadliner interface{ SetWriteDeadline(t time.Time) error }

// pace writes to a peer that must not hold a place for long.
type pace struct {
	w    io.Writer
	peer deadliner // or nil
	last time.Time // when what is sent must be gone; zero if there is no hurry
}

// begin starts the clock for n bytes.
func (p *pace) begin(n int) {
	p.last = time.Now().Add(max(paceTime, time.Duration(n)*time.Second/paceRate))
}

// rest stops it for a time that the peer was not the one to wait for.
func (p *pace) rest(d time.Duration) {
	if !p.last.IsZero() {
		p.last = p.last.Add(d)
	}
}

// end stops it.
func (p *pace) end() {
	p.last = time.Time{}
	if p.peer != nil {
		_ = p.peer.SetWriteDeadline(time.Time{}) // the next write fails if this does
	}
}

// Write implements io.Writer.
func (p *pace) Write(b []byte) (n int, err error) {
	if p.peer == nil || p.last.IsZero() {
		return p.w.Write(b)
	}
	for err == nil && n < len(b) {
		until := time.Now().Add(paceTime)
		if until.After(p.last) {
			until = p.last
		}
		if err := p.peer.SetWriteDeadline(until); err != nil {
			return n, err
		}
		var k int
		k, err = p.w.Write(b[n:min(n+paceBytes, len(b))])
		n += k
	}
	return n, err
}
