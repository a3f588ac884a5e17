package remotetest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

type handler func(device string, w http.ResponseWriter, r *http.Request) error

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/ca", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(s.CA) })
	mux.HandleFunc("POST /v1/enroll", s.open(s.enroll))
	for pattern, h := range map[string]handler{
		"POST /v1/renew":                    s.renew,
		"GET /v1/cvds":                      s.listCVDs,
		"GET /v1/cvds/{cvd}/snapshots":      s.snapshots,
		"GET /v1/cvds/{cvd}/snapshots/{id}": s.snapshot,
		"GET /v1/cvds/{cvd}/tally":          s.tally,
		"POST /v1/cvds/{cvd}/tally":         s.addTally,
		"GET /v1/popularity":                s.popularity,
		"POST /v1/chunks":                   s.chunks,
		"POST /v1/sessions":                 s.begin,
		"POST /v1/sessions/{id}/files":      s.inSession(s.askFiles),
		"POST /v1/sessions/{id}/have":       s.inSession(s.have),
		"POST /v1/sessions/{id}/prove":      s.inSession(s.prove),
		"POST /v1/sessions/{id}/chunks":     s.inSession(s.upload),
		"POST /v1/sessions/{id}/commit":     s.inSession(s.commit),
		"DELETE /v1/sessions/{id}":          s.inSession(s.abandon),
		"POST /v1/progress":                 s.report,
	} {
		mux.HandleFunc(pattern, s.open(s.asDevice(h)))
	}
	return mux
}

// open counts and lets Fault see the request.
func (s *Server) open(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.Requests.Add(1)
		device := ""
		if len(r.TLS.PeerCertificates) > 0 {
			device = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		err := error(nil)
		if s.Fault != nil {
			err = s.Fault(device, r)
		}
		if err == nil {
			err = h(device, w, r)
		}
		if err != nil {
			wire.WriteProblem(w, err)
		}
	}
}

func (s *Server) asDevice(h handler) handler {
	return func(device string, w http.ResponseWriter, r *http.Request) error {
		var ok, out bool
		s.locked(func() { ok, out = s.approved[device], s.revoked[device] })
		if out || device == "" {
			return fmt.Errorf("%w: device %q", wire.ErrDenied, device)
		}
		if !ok {
			return fmt.Errorf("%w: device %q", wire.ErrPending, device)
		}
		return h(device, w, r)
	}
}

func answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

func read(r *http.Request, v any) error {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		return fmt.Errorf("%w: %w", wire.ErrInvalid, err)
	}
	return nil
}

func csr(text string) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("%w: no CSR", wire.ErrInvalid)
	}
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = req.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", wire.ErrInvalid, err)
	}
	return req, nil
}

func (s *Server) enroll(_ string, w http.ResponseWriter, r *http.Request) error {
	var req wire.EnrollRequest
	if err := read(r, &req); err != nil {
		return err
	}
	c, err := csr(req.CSR)
	if err != nil {
		return err
	}
	var ok, out bool
	s.locked(func() {
		if s.tokens[req.Token] {
			delete(s.tokens, req.Token)
			s.approved[req.Name] = true
		}
		ok, out = s.approved[req.Name], s.revoked[req.Name]
	})
	if out {
		return fmt.Errorf("%w: device %s was revoked", wire.ErrDenied, req.Name)
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	reply := wire.EnrollReply{Device: req.Name, State: "pending", Fingerprint: hex.EncodeToString(sum[:])}
	if ok {
		reply.State, reply.CA = "approved", string(s.CA)
		reply.Certificate = string(s.ca.sign(s.t, c.PublicKey, req.Name, s.Life))
	}
	return answer(w, reply)
}

func (s *Server) renew(device string, w http.ResponseWriter, r *http.Request) error {
	var req wire.RenewRequest
	if err := read(r, &req); err != nil {
		return err
	}
	c, err := csr(req.CSR)
	if err != nil {
		return err
	}
	return answer(w, wire.EnrollReply{
		Device: device, State: "approved", CA: string(s.CA),
		Certificate: string(s.ca.sign(s.t, c.PublicKey, device, s.Life)),
	})
}

func (s *Server) desktop(device, name string) (*desktop, error) {
	d := s.cvds[name]
	if d == nil || d.owner != device {
		return nil, fmt.Errorf("desktop %s: %w", name, wire.ErrNotFound)
	}
	return d, nil
}

func (s *Server) listCVDs(device string, w http.ResponseWriter, _ *http.Request) error {
	list := []wire.CVD{}
	s.locked(func() {
		for name, d := range s.cvds {
			if d.owner == device {
				list = append(list, wire.CVD{Name: name, Device: device, Snapshots: len(d.snapshots)})
			}
		}
	})
	return answer(w, list)
}

func (s *Server) snapshots(device string, w http.ResponseWriter, r *http.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.desktop(device, r.PathValue("cvd"))
	if err != nil {
		return err
	}
	return answer(w, d.snapshots)
}

func (s *Server) snapshot(device string, w http.ResponseWriter, r *http.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.desktop(device, r.PathValue("cvd"))
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	for _, snap := range d.snapshots {
		if id == "latest" || strings.HasPrefix(snap.ID.String(), id) {
			return answer(w, snap)
		}
	}
	return fmt.Errorf("snapshot %s: %w", id, wire.ErrNotFound)
}

func (s *Server) tally(device string, w http.ResponseWriter, r *http.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.desktop(device, r.PathValue("cvd"))
	if err == nil {
		_, err = w.Write(d.tally)
	}
	return err
}

// popularity answers with the tally that is the same for all, as the real server does for a while.
func (s *Server) popularity(_ string, w http.ResponseWriter, _ *http.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := w.Write(s.Popular)
	return err
}

// addTally keeps the last that was sent: what several add up to is the real server's to know.
func (s *Server) addTally(device string, _ http.ResponseWriter, r *http.Request) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.desktop(device, r.PathValue("cvd"))
	if err == nil {
		d.tally = b
	}
	return err
}

func (s *Server) report(_ string, _ http.ResponseWriter, r *http.Request) error {
	var p wire.Progress
	err := read(r, &p)
	s.locked(func() { s.progress = append(s.progress, p) })
	return err
}

// Latest returns a desktop's newest snapshot.
func (s *Server) Latest(name string) (snap cvd.Snapshot) {
	s.locked(func() {
		if d := s.cvds[name]; d != nil && len(d.snapshots) > 0 {
			snap = d.snapshots[0]
		}
	})
	return snap
}
