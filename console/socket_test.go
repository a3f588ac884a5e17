package console

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// dial opens the feed as a page of this origin and session would.
func (r *rig) dial(t *testing.T, header http.Header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	d := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, NetDialContext: smallBuffer}
	conn, res, err := d.Dial(strings.Replace(r.url, "https", "wss", 1)+"/api/feed", header)
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, res, err
}

// smallBuffer connects with little room for what is not read yet.
func smallBuffer(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return c, c.(*net.TCPConn).SetReadBuffer(256 << 10)
}

func (r *rig) header(origin, token string) http.Header {
	h := http.Header{"Origin": {origin}}
	if token != "" {
		h.Set("Cookie", cookieName+"="+token)
	}
	return h
}

func (r *rig) open(t *testing.T) *websocket.Conn {
	t.Helper()
	conn, _, err := r.dial(t, r.header(r.url, "token"))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// read takes messages until the page holds what it waits for.
func (p *mirror) read(t *testing.T, conn *websocket.Conn, until func() bool) (types string) {
	t.Helper()
	for !until() {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			t.Fatalf("at %d: %v", p.seq, err)
		}
		if !p.take(t, raw) {
			t.Fatalf("at %d this does not follow: %.80s", p.seq, raw)
		}
		types += string(raw[9:10]) // s, c or b
	}
	return types
}

// A page gets one snapshot, then changes; when it asks to resync, a snapshot again.
func TestFeed(t *testing.T) {
	var done atomic.Int64
	wake := make(chan func(), 1)
	p := &plain{
		fleet: func(context.Context) (Model, error) {
			return Model{Streams: []Stream{{ID: "a", BytesDone: done.Load()}}}, nil
		},
		watch: func(ctx context.Context, w func()) error {
			wake <- w
			<-ctx.Done()
			return nil
		},
	}
	r := start(t, p)
	conn := r.open(t)
	var page mirror
	page.read(t, conn, func() bool { return page.seq > 0 })
	w := <-wake
	at := func(n int64) func() bool {
		return func() bool { return page.model.Streams[0].BytesDone == n }
	}
	for n := int64(1); n <= 3; n++ {
		done.Store(n)
		w()
		if types := page.read(t, conn, at(n)); strings.Contains(types, "s") {
			t.Errorf("change %d came as %q", n, types)
		}
	}
	if err := conn.WriteJSON(Request{Type: "resync"}); err != nil {
		t.Fatal(err)
	}
	resynced := func() (ok bool) { _, raw, err := conn.ReadMessage(); ok = err == nil && page.take(t, raw); return ok }
	if !resynced() || !at(3)() {
		t.Errorf("after a resync the page holds %+v", page.model)
	}
}

// A page that does not read for a while never holds up the hub, and is whole again after one snapshot. (Invariant 10:
// nothing is queued for it.)
func TestSlowReader(t *testing.T) {
	r := start(t, &plain{})
	slow := r.open(t)
	var page mirror
	page.read(t, slow, func() bool { return page.seq > 0 })

	blob := strings.Repeat("a desktop ", 6000)
	const changes = 200 // of 60 kB each: far more than sockets buffer
	for i := range changes {
		m := Model{Streams: []Stream{{ID: "a", BytesDone: int64(i + 1), Current: fmt.Sprint(i, blob)}}}
		if err := r.hub.publish(m, Health{OK: true}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	types := page.read(t, slow, func() bool {
		return len(page.model.Streams) == 1 && page.model.Streams[0].BytesDone == changes || page.seq > changes
	})
	if !strings.Contains(types, "s") || len(types) >= changes {
		t.Errorf("a page that lagged %d changes got %d messages: %.80s", changes, len(types), types)
	}
}

// A feed is opened only with a living session and from this very origin.
func TestFeedRefused(t *testing.T) {
	r := start(t, &plain{})
	for name, c := range map[string]struct {
		origin, token string
		want          int
	}{
		"no session":    {r.url, "", http.StatusUnauthorized},
		"old session":   {r.url, "stale", http.StatusUnauthorized},
		"other origin":  {"https://evil.example", "token", http.StatusForbidden},
		"other port":    {"https://127.0.0.1:1", "token", http.StatusForbidden},
		"opaque origin": {"null", "token", http.StatusForbidden},
	} {
		_, res, err := r.dial(t, r.header(c.origin, c.token))
		if err == nil || res == nil || res.StatusCode != c.want {
			t.Errorf("%s: %v, %v, want %d", name, res, err, c.want)
		}
	}
}

// A feed ends with its session, and with the server; the close code tells the page which.
func TestFeedEnds(t *testing.T) {
	closed := func(conn *websocket.Conn) (code int) {
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				if e, ok := err.(*websocket.CloseError); ok {
					code = e.Code
				}
				return code
			}
		}
	}
	var over atomic.Bool
	p := &plain{check: func(string) error {
		if over.Load() {
			return ErrSession
		}
		return nil
	}}
	r := start(t, p)
	r.beat = 10 * time.Millisecond
	conn := r.open(t)
	over.Store(true)
	if code := closed(conn); code != closeSession {
		t.Errorf("when its session ended the feed closed with %d, want %d", code, closeSession)
	}
	over.Store(false)

	conn = r.open(t)
	r.stop()
	if code := closed(conn); code != websocket.CloseGoingAway {
		t.Errorf("when the server stopped the feed closed with %d, want %d", code, websocket.CloseGoingAway)
	}
	_, res, err := r.dial(t, r.header(r.url, "token"))
	if err == nil || res == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a feed of a stopped console: %v, %v", res, err)
	}
}
