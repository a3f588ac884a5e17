//go:build unix

package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
	"github.com/looming-project/looming/vfs/wire"
)

func TestMain(m *testing.M) {
	if childServes() {
		return
	}
	code := pgtest.Main(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

// served is a server under test, on TLS.
type served struct {
	*Server
	t     *testing.T
	url   string
	token string // of an admin
	logs  *logs
	stop  func()

	authority []byte // the CA's certificate
}

// logs keeps what a server logs.
type logs struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func serve(t *testing.T, dsn string) *served {
	t.Helper()
	s := &served{t: t, logs: &logs{}}
	var err error
	s.Server, err = Open(t.Context(), Options{
		Database: dsn, Volumes: []string{t.TempDir()}, Version: "test",
		Log: slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url, s.authority = "https://"+l.Addr().String(), s.ca.PEM()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.answerAt(ctx, l) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	if _, err := s.admins.First(t.Context(), "root", "a long password"); err != nil {
		t.Fatal(err)
	}
	if s.token, err = s.admins.NewToken(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	return s
}

// client is a device's side.
type client struct {
	s    *served
	name string
	key  *ecdsa.PrivateKey
	http *http.Client
	cert tls.Certificate
}

func (s *served) client(name string) *client {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &client{s: s, name: name, key: key}
	c.use(tls.Certificate{})
	return c
}

// use has the client show a certificate on new connections; the zero one is none.
func (c *client) use(cert tls.Certificate) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.s.authority)
	c.cert = cert
	t := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: pool, MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },
	}}
	c.s.t.Cleanup(t.CloseIdleConnections)
	c.http = &http.Client{Transport: t}
}

func (c *client) csr() string {
	c.s.t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, c.key)
	if err != nil {
		c.s.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// do sends a request with a JSON body; into may be nil.
func (c *client) do(method, path string, body, into any) error {
	c.s.t.Helper()
	return c.s.send(c.http, method, path, "", body, into)
}

// admin sends a request as the admin.
func (s *served) admin(method, path string, body, into any) error {
	s.t.Helper()
	return s.send(s.client("admin").http, method, path, s.token, body, into)
}

func (s *served) send(h *http.Client, method, path, token string, body, into any) error {
	s.t.Helper()
	var sent io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		sent = bytes.NewReader(b)
	default:
		enc, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		sent = bytes.NewReader(enc)
	}
	req, err := http.NewRequest(method, s.url+path, sent)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := h.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return wire.ReadProblem(resp)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if raw, ok := into.(*[]byte); ok {
		*raw = b
		return nil
	}
	if into != nil {
		return json.Unmarshal(b, into)
	}
	return nil
}

func (c *client) enroll(token string) (reply wire.EnrollReply, err error) {
	c.s.t.Helper()
	err = c.do("POST", "/v1/enroll", wire.EnrollRequest{Name: c.name, Host: "host-" + c.name, OS: "linux", CSR: c.csr(), Token: token}, &reply)
	return reply, err
}

// adopt takes the certificate of a reply into use.
func (c *client) adopt(r wire.EnrollReply) {
	c.s.t.Helper()
	block, _ := pem.Decode([]byte(r.Certificate))
	if block == nil {
		c.s.t.Fatalf("no certificate in %+v", r)
	}
	c.use(tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: c.key})
}

// approved is a device that was let in.
func (s *served) approved(name string) *client {
	s.t.Helper()
	c := s.client(name)
	if _, err := c.enroll(""); err != nil {
		s.t.Fatal(err)
	}
	must(s.t, s.admin("POST", "/v1/admin/devices/"+name+"/approve", nil, nil))
	r, err := c.enroll("")
	if err != nil {
		s.t.Fatal(err)
	}
	c.adopt(r)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, what string, err, sentinel error) {
	t.Helper()
	if !errors.Is(err, sentinel) || sentinel == nil && err != nil {
		t.Errorf("%s: %v, want %v", what, err, sentinel)
	}
}

// refusedRows are the audit's rows about somebody.
func (s *served) refusedRows(who string) (reasons []string) {
	s.t.Helper()
	rows, err := s.db.Audits(s.t.Context(), 1000)
	must(s.t, err)
	for _, r := range rows {
		if r.Refused && r.Who == who {
			reasons = append(reasons, r.Address+" "+r.Reason)
		}
	}
	return reasons
}

// wantRefusal makes sure that a refusal was logged and audited, with the name and the reason.
func (s *served) wantRefusal(who, reason string) {
	s.t.Helper()
	rows := s.refusedRows(who)
	for _, r := range rows {
		if strings.Contains(r, reason) && strings.HasPrefix(r, "127.0.0.1 ") {
			_, name, _ := strings.Cut(who, ":")
			if log := s.logs.String(); !strings.Contains(log, "msg=refused") || !strings.Contains(log, name) {
				s.t.Errorf("%s was audited but not logged", who)
			}
			return
		}
	}
	s.t.Errorf("no refusal of %s because of %q in the audit log: %q", who, reason, rows)
}
