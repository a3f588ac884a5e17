package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A Server is looming-server with its data directory. It may be started again
// after it ended, at the same address.
type Server struct {
	Programs Programs
	Data     string
	// Listen is the address; port 0 becomes the one that the first start picked.
	Listen string
	// Args are more flags of serve.
	Args []string

	process *Process
	access  access
	client  *http.Client
}

// access is what DATA/admin.json holds.
type access struct{ Server, Token, CA string }

// Start starts the server and returns when it serves.
func (s *Server) Start(ctx context.Context) error {
	if err := os.MkdirAll(s.Data, 0o755); err != nil {
		return err
	}
	args := append([]string{"serve", "--data", s.Data, "--listen", s.Listen}, s.Args...)
	p, err := Start(exec.Command(s.Programs.path("looming-server"), args...))
	if err != nil {
		return err
	}
	s.process = p
	if err := s.ready(ctx); err != nil {
		return errors.Join(err, p.Interrupt())
	}
	return nil
}

// ready waits until the server says that it serves.
func (s *Server) ready(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(s.process.Said(), "Looming serves at ") {
		select {
		case <-tick.C:
		case <-s.process.Ended():
			_, err := s.process.Wait(ctx)
			return fmt.Errorf("the server does not start: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.readAccess()
}

func (s *Server) readAccess() error {
	text, err := os.ReadFile(filepath.Join(s.Data, "admin.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &s.access); err != nil {
		return fmt.Errorf("admin.json: %w", err)
	}
	if err := os.WriteFile(s.CA(), []byte(s.access.CA), 0o644); err != nil {
		return err
	}
	s.Listen = strings.TrimPrefix(s.access.Server, "https://")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(s.access.CA))
	s.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	return nil
}

// Stop ends the server in good order.
func (s *Server) Stop() error {
	if s.process == nil {
		return nil
	}
	return s.process.Interrupt()
}

// Kill ends the server as a crash does. Its Postgres is left behind, as then.
func (s *Server) Kill() { s.process.Kill() }

// Process is the one that runs now, or ran last.
func (s *Server) Process() *Process { return s.process }

// URL is where the server is.
func (s *Server) URL() string { return s.access.Server }

// CA is the file with the certificate of the server's CA.
func (s *Server) CA() string { return filepath.Join(s.Data, "ca.pem") }

// Port is the port of the address.
func (s *Server) Port() string {
	_, port, _ := net.SplitHostPort(s.Listen)
	return port
}

// Password is that of the console's user admin, as the server made it.
func (s *Server) Password() (string, error) {
	b, err := os.ReadFile(filepath.Join(s.Data, "admin-password"))
	return strings.TrimSpace(string(b)), err
}

// Admin calls the admins' API: method, path beneath /v1/admin/, a document to
// send or nil, and one to fill or nil.
func (s *Server) Admin(ctx context.Context, method, path string, send, fill any) error {
	var body bytes.Buffer
	if send != nil {
		if err := json.NewEncoder(&body).Encode(send); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL()+"/v1/admin/"+path, &body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.access.Token)
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(text))
	case fill == nil:
		return nil
	}
	return json.Unmarshal(text, fill)
}

// Token makes a one-time token to enrol with.
func (s *Server) Token(ctx context.Context) (string, error) {
	var t struct{ Token string }
	err := s.Admin(ctx, "POST", "tokens", nil, &t)
	return t.Token, err
}

// Assign lets a device have a desktop.
func (s *Server) Assign(ctx context.Context, cvd, device string) error {
	return s.Admin(ctx, "POST", "cvds/"+cvd+"/assign", map[string]string{"device": device}, nil)
}

// Stats is what there is and what it costs.
type Stats struct {
	Desktops, Snapshots   int
	LogicalBytes          int64 `json:"logical_bytes"`
	StoredBytes           int64 `json:"stored_bytes"`
	DedupSavedBytes       int64 `json:"dedup_saved_bytes"`
	CompressionSavedBytes int64 `json:"compression_saved_bytes"`
	PackBytes             int64 `json:"pack_bytes"`
	Server                struct{ UploadedBytes, FetchedBytes int64 }
}

// Stats asks the server.
func (s *Server) Stats(ctx context.Context) (st Stats, err error) {
	return st, s.Admin(ctx, "GET", "stats", nil, &st)
}
