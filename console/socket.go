package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// The manners of one connection.
const (
	pingEvery    = 20 * time.Second
	pongWithin   = 50 * time.Second // no sign of life for so long: it is gone
	writeWithin  = 10 * time.Second // a reader that takes longer for one message is dropped and comes back
	checkWithin  = 5 * time.Second
	requestLimit = 1024 // bytes of one message from the page
)

// Close codes of our own; the page acts on them.
const (
	closeSession = 4401 // the session has ended: go to the login
)

// upgrader keeps gorilla's own origin check: the Origin must be this host.
var upgrader = websocket.Upgrader{HandshakeTimeout: 10 * time.Second, EnableCompression: true}

// reader is one page on the feed. Only its serve goroutine writes; its receive goroutine ends before serve returns.
type reader struct {
	hub    *hub
	auth   Auth
	token  string
	conn   *websocket.Conn
	seq    uint64
	resync chan struct{}
}

// feed upgrades and serves until the page leaves, its session ends or the hub stops.
func (c *Console) feed(w http.ResponseWriter, r *http.Request, s session) {
	if !c.hub.join() {
		problem(w, http.StatusServiceUnavailable, "The server is starting or stopping. Try again in a moment.")
		return
	}
	defer c.hub.leave()
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		c.log.Info("console: feed refused", "from", r.RemoteAddr, "origin", r.Header.Get("Origin"), "error", err)
		return
	}
	defer conn.Close()
	rd := &reader{hub: c.hub, auth: c.auth, token: s.token, conn: conn, resync: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	received := make(chan struct{})
	go func() {
		defer close(received)
		defer cancel()
		rd.receive()
	}()
	rd.goodbye(rd.serve(ctx, c.beat))
	conn.Close()
	cancel()
	<-received
}

// receive reads requests until the connection breaks. A page may ask for one resync at a time.
func (rd *reader) receive() {
	rd.conn.SetReadLimit(requestLimit)
	alive := func(string) error { return rd.conn.SetReadDeadline(time.Now().Add(pongWithin)) }
	rd.conn.SetPongHandler(alive)
	alive("")
	for {
		_, b, err := rd.conn.ReadMessage()
		if err != nil {
			return
		}
		var req Request
		if json.Unmarshal(b, &req) != nil || req.Type != "resync" {
			return
		}
		select {
		case rd.resync <- struct{}{}:
		default:
		}
	}
}

// serve sends what is new, at the hub's pace, and pings. The pause after each batch keeps a page that asks for one
// resync after another from getting more than four a second.
func (rd *reader) serve(ctx context.Context, beat time.Duration) error {
	ping := time.NewTicker(beat)
	defer ping.Stop()
	for {
		more, err := rd.catchUp()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-rd.hub.done:
			return errStopping
		case <-more:
		case <-rd.resync:
			rd.seq = 0
			if !pause(ctx, minInterval) {
				return nil
			}
		case <-ping.C:
			if err := rd.beat(ctx); err != nil {
				return err
			}
		}
	}
}

// catchUp sends everything after rd.seq.
func (rd *reader) catchUp() (more <-chan struct{}, err error) {
	msgs, next, more, err := rd.hub.after(rd.seq)
	if err != nil {
		return nil, err
	}
	for _, m := range msgs {
		if err := rd.conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
			return nil, err
		}
		if err := rd.conn.WriteMessage(websocket.TextMessage, m); err != nil {
			return nil, err
		}
	}
	rd.seq = next
	return more, nil
}

// beat shows the page that the connection lives (a browser does not show pings to scripts), and looks whether the session still stands. A check that fails for another reason changes nothing.
func (rd *reader) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	if _, err := rd.auth.Check(ctx, rd.token); errors.Is(err, ErrSession) {
		return err
	}
	if err := rd.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWithin)); err != nil {
		return err
	}
	if err := rd.conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	return rd.conn.WriteJSON(Message{Type: "beat", Seq: rd.seq, At: time.Now().UTC()})
}

var errStopping = errors.New("console: the server is stopping")

// goodbye tells the page why, where it may still listen.
func (rd *reader) goodbye(why error) {
	code, text := websocket.CloseNormalClosure, ""
	switch {
	case errors.Is(why, ErrSession):
		code, text = closeSession, "the session has ended"
	case errors.Is(why, errStopping):
		code, text = websocket.CloseGoingAway, "the server is stopping"
	case why != nil:
		return
	}
	rd.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Now().Add(time.Second))
}
