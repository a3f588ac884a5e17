package remote

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// Heard is what the paced answers of a time tell about the line that they came over.
type Heard struct {
	// Bytes came on the connections of the class, TLS included.
	Bytes uint64
	// Pieces came; for Awaited of them the line was waited for, and not this endpoint. Of those, Delay is the least time
	// from the sending of a piece to its coming, by the clocks of the two sides: only its changes mean something, and
	// only as long as Clock, the sender's, is the same.
	Pieces, Awaited int
	Delay           time.Duration
	Clock           string
	// Round is the least time from a request to the beginning of its answer, 0 if none began.
	Round time.Duration
	// Limit is what an admin lets this device have, in bytes a second; 0 is no limit, or not known.
	Limit float64
}

// awaited is how long a read must have blocked to say that the line was waited for.
const awaited = 100 * time.Microsecond

// ear gathers what is heard.
type ear struct {
	began time.Time

	mu    sync.Mutex
	now   Heard
	bytes uint64    // that came, until now was begun
	last  time.Time // when a piece by the clock of now came, or its first answer
}

// clockRest is how long a clock is listened to after its last piece. Of several server processes behind one address so
// only one is, and their clocks are not mixed.
const clockRest = time.Second

// Pace has the server send what is asked for in bulk from now on at so many bytes a second, all together, and one answer
// after another; 0 is as fast as it can. What was asked for before follows with the next request.
func (c *Client) Pace(rate float64) {
	header := wire.FormatRate(rate)
	c.pace.Store(&header)
}

// TellPace tells the server the pace at once, for what it is sending already.
func (c *Client) TellPace(ctx context.Context) error {
	r := request{class: Control, method: "POST", path: "/v1/chunks", body: []byte{}, kind: wire.TypeBinary}
	if pace := c.pace.Load(); pace != nil {
		r.pace = *pace
	}
	return named(c.once(ctx, r, nil), "tell the server the pace")
}

// Heard returns what was heard since it was called last; nothing before Pace is called.
func (c *Client) Heard() Heard {
	in, _ := c.Crossed(Bulk)
	c.ear.mu.Lock()
	defer c.ear.mu.Unlock()
	h := c.ear.now
	h.Bytes, c.ear.bytes = in-c.ear.bytes, in
	c.ear.now = Heard{Clock: h.Clock, Limit: h.Limit}
	return h
}

// Limit is what an admin lets this device have, in bytes a second, as the last paced answer said; 0 is no limit.
func (c *Client) Limit() float64 {
	c.ear.mu.Lock()
	defer c.ear.mu.Unlock()
	return c.ear.now.Limit
}

// heard takes note of a piece that has just begun to come over conn, sent by a clock. One by another clock than is
// listened to is a piece, and says nothing about the line.
func (e *ear) heard(clock string, sent time.Duration, conn *countedConn) {
	now := time.Now()
	came := now.Sub(e.began)
	e.mu.Lock()
	defer e.mu.Unlock()
	h := &e.now
	h.Pieces++
	if clock != h.Clock && now.Sub(e.last) > clockRest {
		h.Clock, h.Awaited, h.Delay = clock, 0, 0
	}
	if clock != h.Clock {
		return
	}
	e.last = now
	if conn == nil || time.Duration(conn.waited.Load()) < awaited {
		return
	}
	if d := came - sent; h.Awaited == 0 || d < h.Delay {
		h.Delay = d
	}
	h.Awaited++
}

// answered takes note of the beginning of an answer.
func (e *ear) answered(h http.Header, round time.Duration) {
	limit, _ := wire.ParseRate(h.Get(wire.LimitHeader)) // 0 where there is none
	e.mu.Lock()
	defer e.mu.Unlock()
	if clock := h.Get(wire.ClockHeader); clock == "" || e.now.Clock == "" { // else the pieces say which is listened to
		e.now = Heard{Clock: clock, Round: e.now.Round}
		e.last = time.Now()
	}
	if e.now.Limit = limit; e.now.Round == 0 || round < e.now.Round {
		e.now.Round = round
	}
}

// hearing is one paced request.
type hearing struct {
	ear   *ear
	sent  time.Time
	round time.Duration
	conn  *countedConn
}

// trace follows the request.
func (h *hearing) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn:              func(i httptrace.GotConnInfo) { h.conn, h.sent = countedOf(i.Conn), time.Now() },
		GotFirstResponseByte: func() { h.round = time.Since(h.sent) },
	}
}

// body is the answer's, without the heads of its pieces if it has any.
func (h *hearing) body(resp *http.Response) io.Reader {
	h.ear.answered(resp.Header, h.round)
	clock := resp.Header.Get(wire.ClockHeader)
	if clock == "" {
		return resp.Body
	}
	return &wire.PieceReader{R: resp.Body, Heard: func(sent time.Duration) { h.ear.heard(clock, sent, h.conn) }}
}

func countedOf(conn net.Conn) *countedConn {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	c, _ := conn.(*countedConn)
	return c
}
