package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/looming-project/looming/server/internal/ca"
	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// refuse logs and audits that somebody was not let in. What repeats within a minute is counted but not written again,
// so that a device that keeps knocking fills no disk.
func (s *Server) refuse(r *http.Request, kind, name string, err error) {
	if !errors.Is(err, wire.ErrDenied) && !errors.Is(err, wire.ErrPending) && !errors.Is(err, wire.ErrConflict) &&
		!errors.Is(err, postgres.ErrNotYours) {
		return // the database is away, say: nobody was refused
	}
	s.refuseFrom(context.WithoutCancel(r.Context()), kind, name, clientHost(r), r.Method+" "+r.URL.Path, err)
}

// What strangers say of themselves is kept no longer than this, in bytes.
const (
	nameMax   = 64
	reasonMax = 512
)

func (s *Server) refuseFrom(ctx context.Context, kind, name, address, what string, err error) {
	s.metrics.refusals.WithLabelValues(kind).Inc()
	if name == "" {
		name = "unknown"
	}
	name, what = ca.Clean(name, nameMax), ca.Clean(what, reasonMax)
	reason := ca.Clean(err.Error(), reasonMax)
	switch s.refused.judge(network(address), sha256.Sum256([]byte(kind+"\x00"+name+"\x00"+address+"\x00"+reason)), time.Now()) {
	case repeated:
		return
	case tooMany:
		s.metrics.unwritten.WithLabelValues(kind).Inc()
		return
	}
	s.log.Warn("refused", kind, name, "from", address, "what", what, "reason", reason)
	s.audit(ctx, postgres.Audit{Who: kind + ":" + name, Address: address, What: what, Refused: true, Reason: reason})
}

// audit writes down what was done. It is too late to undo that when it fails, so that is logged.
func (s *Server) audit(ctx context.Context, a postgres.Audit) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.db.AddAudit(ctx, a); err != nil {
		s.log.Error("cannot write the audit log", "who", a.Who, "what", a.What, "subject", a.Subject, "reason", a.Reason, "error", err)
	}
}

// refusals decides what is written down: what was not lately, and from one network not more than so much.
type refusals struct {
	mu    sync.Mutex // guards last
	last  map[[32]byte]time.Time
	rates *limiter
}

const (
	refusalsEvery = time.Minute
	refusalsMax   = 10_000
	refusalsRate  = 1 // a second, from one network
	refusalsBurst = 20
)

// verdict on a refusal.
type verdict int

const (
	fresh    verdict = iota // write it down
	repeated                // it was written down a moment ago
	tooMany                 // only count it
)

func newRefusals() *refusals {
	return &refusals{last: map[[32]byte]time.Time{}, rates: limiterOf(refusalsRate, refusalsBurst)}
}

func (m *refusals) judge(network string, key [32]byte, now time.Time) verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, ok := m.last[key]; ok && now.Sub(at) < refusalsEvery {
		return repeated
	}
	if m.rates.take(network) > 0 {
		return tooMany
	}
	if len(m.last) >= refusalsMax {
		clear(m.last)
	}
	m.last[key] = now
	return fresh
}

// claims are names in certificates that were shown on connections whose handshake is not over.
type claims struct{ m sync.Map } // net.Conn -> string

// claimed hears of a certificate before its key is proven.
func (c *claims) claimed(conn net.Conn, name string) { c.m.Store(conn, name) }

// connState notices a handshake that failed after a certificate was shown: somebody has it without its key.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	t, ok := c.(*tls.Conn)
	if !ok || state == http.StateNew {
		return
	}
	name, ok := s.claims.m.LoadAndDelete(t.NetConn())
	if !ok || t.ConnectionState().HandshakeComplete {
		return
	}
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	s.refuseFrom(context.Background(), "device", name.(string), host, "TLS handshake", errUnproven)
}

var errUnproven = fmt.Errorf("%w: it showed a certificate without proving that it has the key", wire.ErrDenied)
