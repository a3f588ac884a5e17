package server

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// A peer that neither takes nor gives a byte for stall is given up. It is longer than the minute that a link may be
// cut. What is slow but moves is never cut off, however long it takes.
const (
	stall = 3 * time.Minute
	rearm = 10 * time.Second // deadlines are moved at most this often
)

// answer is a ResponseWriter that notes what went out.
type answer struct {
	http.ResponseWriter
	control  *http.ResponseController
	status   int
	bytes    int64
	who      string // for the log: set by who lets the request in
	hijacked bool
	armed    time.Time
	hurried  bool // a handler has set a deadline
}

func newAnswer(w http.ResponseWriter) *answer {
	a := &answer{ResponseWriter: w, control: http.NewResponseController(w)}
	a.arm()
	return a
}

// SetWriteDeadline bounds what a handler writes while it holds what others wait for; the zero time ends that.
func (a *answer) SetWriteDeadline(t time.Time) error {
	if a.hurried = !t.IsZero(); a.hurried {
		return a.control.SetWriteDeadline(t)
	}
	a.armed = time.Time{}
	a.arm()
	return nil
}

// arm gives the peer until stall from now to take what is written.
func (a *answer) arm() {
	if a.hurried {
		return
	}
	if now := time.Now(); now.Sub(a.armed) > rearm {
		a.armed = now
		_ = a.control.SetWriteDeadline(now.Add(stall)) // a test's recorder has none
	}
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.arm()
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.arm()
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Flush implements http.Flusher.
func (a *answer) Flush() {
	a.arm()
	_ = a.control.Flush() // the next write fails if this does
}

// Hijack implements http.Hijacker, which websockets want.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := a.control.Hijack()
	a.hijacked = err == nil
	return c, rw, err
}

func (a *answer) code() int {
	switch {
	case a.hijacked:
		return http.StatusSwitchingProtocols
	case a.status == 0:
		return http.StatusOK
	}
	return a.status
}

// body gives up a peer that sends nothing for stall.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	armed   time.Time

	hurried bool
	left    int           // of the bytes that hurryTime is for
	waited  time.Duration // for them, until now
}

// A peer for whose body others wait must send hurryBytes within hurryTime. Only the time counts in which it is waited for.
const (
	hurryBytes = 64 << 10
	hurryTime  = 20 * time.Second
)

func newBody(b io.ReadCloser, control *http.ResponseController) *body {
	return &body{ReadCloser: b, control: control}
}

// Read implements io.Reader. At the end the deadline goes: the handler may then work as long as it must.
func (b *body) Read(p []byte) (int, error) {
	if b.hurried {
		return b.quick(p)
	}
	if now := time.Now(); now.Sub(b.armed) > rearm {
		b.armed = now
		_ = b.control.SetReadDeadline(now.Add(stall)) // a test's recorder has none
	}
	n, err := b.ReadCloser.Read(p)
	b.ended(err)
	return n, err
}

// quick is Read for a peer that must hurry.
func (b *body) quick(p []byte) (int, error) {
	now := time.Now()
	if b.left <= 0 {
		b.left, b.waited, b.armed = hurryBytes, 0, time.Time{}
	}
	if now.Sub(b.armed) > time.Second {
		b.armed = now
		_ = b.control.SetReadDeadline(now.Add(hurryTime - b.waited)) // a test's recorder has none
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= n
	b.waited += time.Since(now)
	b.ended(err)
	return n, err
}

// hurry has the peer send what is still to come of a request without long pauses, because others wait for its place.
func hurry(r *http.Request) {
	if c, ok := r.Body.(*counted); ok {
		if b, ok := c.ReadCloser.(*body); ok {
			b.hurried = true
		}
	}
}

func (b *body) ended(err error) {
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
}

// counted counts what came in.
type counted struct {
	io.ReadCloser
	n int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	return n, err
}
