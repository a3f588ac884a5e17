// Package remotetest is a server of the wire protocol in memory, over real TLS, for tests of the endpoint: it keeps
// what it is sent, checks every frame, commits complete snapshots only, and fails where a test wants it to.
package remotetest

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
)

// Server is a server in memory. Its exported fields are set before it is used.
type Server struct {
	URL string
	// CA is its CA's certificate in PEM.
	CA []byte
	// Fault, if set, sees every request before it is served. Returning an error answers with it; it may
	// answer or break the connection itself (panic(http.ErrAbortHandler)) too.
	Fault func(device string, r *http.Request) error
	// Mute makes it a server that knows no pace.
	Mute bool
	// AfterCommit, if set, is called when a snapshot is committed and not yet answered.
	AfterCommit func()
	// Lease is how many seconds a session lives; 60 by default.
	Lease int
	// Life is how long certificates live; a day by default.
	Life time.Duration

	// Counts of what endpoints did, for tests.
	Requests, Asked, Uploaded, UploadedBytes, Proved atomic.Int64

	t testing.TB
	// Popular is what it answers with where a device asks what others use.
	Popular []byte

	ca   authority
	http *httptest.Server

	// mu guards what follows.
	mu        sync.Mutex
	store     map[chunk.ID][]byte
	damaged   map[chunk.ID]bool
	knows     map[string]map[chunk.ID]bool
	files     map[chunk.ID]wire.FileAnswer
	sessions  map[string]*session
	cvds      map[string]*desktop
	approved  map[string]bool
	revoked   map[string]bool
	tokens    map[string]bool
	progress  []wire.Progress
	serial    int64
	challenge map[chunk.ID]wire.Challenge
}

type session struct {
	device, cvd string
	expired     bool
}

type desktop struct {
	owner     string
	snapshots []cvd.Snapshot
	tally     []byte
}

// New starts a server that stops with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		Lease: 60, Life: 24 * time.Hour, t: t,
		store: map[chunk.ID][]byte{}, damaged: map[chunk.ID]bool{}, knows: map[string]map[chunk.ID]bool{},
		files: map[chunk.ID]wire.FileAnswer{}, sessions: map[string]*session{}, cvds: map[string]*desktop{},
		approved: map[string]bool{}, revoked: map[string]bool{}, tokens: map[string]bool{},
		challenge: map[chunk.ID]wire.Challenge{},
	}
	s.ca = newAuthority(t)
	s.CA = s.ca.pem
	s.http = httptest.NewUnstartedServer(s.routes())
	pool := x509.NewCertPool()
	pool.AddCert(s.ca.cert)
	s.http.TLS = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{s.ca.server(t)},
		ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, NextProtos: []string{"http/1.1"},
	}
	s.http.StartTLS()
	s.URL = s.http.URL
	t.Cleanup(s.http.Close)
	return s
}

// Client returns a client with the certificate of an approved device.
func (s *Server) Client(device string) *remote.Client {
	s.t.Helper()
	return s.ClientWith(device, remote.Limits{})
}

// ClientWith is Client with other limits.
func (s *Server) ClientWith(device string, l remote.Limits) *remote.Client {
	s.t.Helper()
	cert, key := s.Credentials(device)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := remote.New(remote.Options{URL: s.URL, CA: s.CA, Cert: pair, Limits: l})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// Credentials are the certificate and key, in PEM, of a device that is approved.
func (s *Server) Credentials(device string) (cert, key []byte) {
	s.t.Helper()
	k, err := remote.NewKey()
	if err != nil {
		s.t.Fatal(err)
	}
	if key, err = remote.EncodeKey(k); err != nil {
		s.t.Fatal(err)
	}
	s.Approve(device)
	return s.ca.sign(s.t, &k.PublicKey, device, s.Life), key
}

// CutConnections breaks every connection.
func (s *Server) CutConnections() { s.http.CloseClientConnections() }

// Approve lets a device in that asks or will ask; Revoke throws it out.
func (s *Server) Approve(device string) { s.locked(func() { s.approved[device] = true }) }

// Revoke throws a device out.
func (s *Server) Revoke(device string) { s.locked(func() { s.revoked[device] = true }) }

// Token makes a one-time token that approves.
func (s *Server) Token(token string) { s.locked(func() { s.tokens[token] = true }) }

// Expire ends all sessions, and with forget drops all chunks that no snapshot reaches.
func (s *Server) Expire(forget bool) {
	s.locked(func() {
		for _, x := range s.sessions {
			x.expired = true
		}
		if forget {
			clear(s.store)
			clear(s.knows)
			clear(s.files)
		}
	})
}

// Drop forgets one chunk.
func (s *Server) Drop(id chunk.ID) { s.locked(func() { delete(s.store, id) }) }

// Damage makes a chunk answer as damaged.
func (s *Server) Damage(id chunk.ID) { s.locked(func() { s.damaged[id] = true }) }

// Corrupt flips a bit in a stored frame.
func (s *Server) Corrupt(id chunk.ID) {
	s.locked(func() {
		f := append([]byte{}, s.store[id]...)
		f[len(f)-1] ^= 1
		s.store[id] = f
	})
}

// Put keeps a chunk as if device had uploaded it.
func (s *Server) Put(device string, plain []byte) chunk.ID {
	id := chunk.Sum(plain)
	s.locked(func() {
		s.store[id] = chunk.Encode(nil, plain)
		s.know(device, id)
	})
	return id
}

// Chunks returns how many chunks are kept, and how many bytes their frames have.
func (s *Server) Chunks() (n int, bytes int64) {
	s.locked(func() {
		n = len(s.store)
		for _, f := range s.store {
			bytes += int64(len(f))
		}
	})
	return n, bytes
}

// Progress returns what was reported.
func (s *Server) Progress() (out []wire.Progress) {
	s.locked(func() { out = append(out, s.progress...) })
	return out
}

func (s *Server) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *Server) know(device string, id chunk.ID) {
	if s.knows[device] == nil {
		s.knows[device] = map[chunk.ID]bool{}
	}
	s.knows[device][id] = true
}
