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
}

func newAnswer(w http.ResponseWriter) *answer {
	a := &answer{ResponseWriter: w, control: http.NewResponseController(w)}
	a.arm()
	return a
}

// arm gives the peer until stall from now to take what is written.
func (a *answer) arm() {
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
}

func newBody(b io.ReadCloser, control *http.ResponseController) *body {
	return &body{ReadCloser: b, control: control}
}

// Read implements io.Reader. At the end the deadline goes: the handler may then work as long as it must.
func (b *body) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.armed) > rearm {
		b.armed = now
		_ = b.control.SetReadDeadline(now.Add(stall)) // a test's recorder has none
	}
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
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
