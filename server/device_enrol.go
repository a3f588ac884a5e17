package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"github.com/looming-project/looming/server/internal/ca"
	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// names of devices and admins stand in URLs, certificates and logs.
var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func checkName(what, name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("%w: %s name %q: want 1 to 63 letters, digits, dots, dashes or underscores, the first a letter or digit",
			wire.ErrInvalid, what, name)
	}
	return nil
}

// maxEnroll bounds what a stranger may send, in bytes.
const maxEnroll = 64 << 10

// enroll is the one thing that a stranger may ask for. Repeated with the same key it is the same request.
func (s *Server) enroll(w http.ResponseWriter, r *http.Request) error {
	if wait := s.enrols.take(clientHost(r)); wait > 0 {
		return fmt.Errorf("%w: too many enrolments from this address: wait %s", wire.ErrUnavailable, wait)
	}
	var req wire.EnrollRequest
	r.Body = http.MaxBytesReader(w, r.Body, maxEnroll)
	if err := decode(w, r, &req); err != nil {
		return err
	}
	csr, err := ca.ParseRequest(req.CSR)
	if err != nil {
		return err
	}
	if err := checkName("device", req.Name); err != nil {
		return err
	}
	d, err := s.db.Enrol(r.Context(), postgres.Enrolment{
		Name: req.Name, Host: clean(req.Host, 255), OS: clean(req.OS, 255),
		Address: clientHost(r), Fingerprint: csr.Fingerprint(), Token: req.Token,
	})
	if err != nil {
		if errors.Is(err, wire.ErrDenied) || errors.Is(err, wire.ErrConflict) {
			s.refuse(r, "enrol", req.Name, err)
		}
		return err
	}
	s.devices.Forget(d.ID)
	return s.enrolled(w, r, d, csr, d.Fingerprint)
}

// enrolled answers where a device stands, with its certificate once it is approved. shown is the key that asks.
func (s *Server) enrolled(w http.ResponseWriter, r *http.Request, d postgres.Device, csr ca.Request, shown postgres.Fingerprint) error {
	fingerprint := csr.Fingerprint()
	out := wire.EnrollReply{Device: d.Name, State: string(d.State), Fingerprint: hex.EncodeToString(fingerprint[:])}
	if d.State != postgres.Approved {
		s.log.Info("a device waits for approval", "device", d.Name, "from", clientHost(r), "fingerprint", out.Fingerprint)
		return respond(w, out)
	}
	pem, err := s.certify(r.Context(), d, csr, shown)
	if err != nil {
		return err
	}
	out.Certificate, out.CA = pem, string(s.ca.PEM())
	return respond(w, out)
}

// certify gives a device the certificate that it has, if that is good for a while, or a new one.
func (s *Server) certify(ctx context.Context, d postgres.Device, csr ca.Request, shown postgres.Fingerprint) (string, error) {
	latest, err := s.db.LatestCertificate(ctx, d.ID, csr.Fingerprint())
	if err == nil && s.ca.Fresh(latest.NotAfter) {
		return latest.PEM, nil
	}
	if err != nil && !errors.Is(err, wire.ErrNotFound) {
		return "", err
	}
	issued, err := s.ca.Issue(csr, d.Name)
	if err != nil {
		return "", err
	}
	err = s.db.AddCertificate(ctx, d.ID, postgres.Certificate{
		Serial: issued.Serial, Fingerprint: csr.Fingerprint(),
		PEM: string(issued.PEM), NotAfter: issued.NotAfter, Shown: shown,
	})
	if err != nil {
		return "", err
	}
	s.devices.Forget(d.ID)
	s.log.Info("issued a certificate", "device", d.Name, "until", issued.NotAfter)
	s.audit(ctx, postgres.Audit{Who: "device:" + d.Name, What: "certificate", Subject: d.Name})
	return string(issued.PEM), nil
}

// renew gives a device a new certificate over the connection of its old one; the key may be new too: it
// is the device's from then on, and certificates of the old one end within a day.
func (s *Server) renew(w http.ResponseWriter, r *http.Request, d postgres.Device) error {
	var req wire.RenewRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	csr, err := ca.ParseRequest(req.CSR)
	if err != nil {
		return err
	}
	return s.enrolled(w, r, d, csr, sha256.Sum256(r.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo))
}

// readAll reads a binary body of at most so many bytes.
func readAll(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		return nil, bodyError(err)
	}
	return b, nil
}
