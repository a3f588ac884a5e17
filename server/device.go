package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// deviceHandler answers a request of a device that was let in.
type deviceHandler func(w http.ResponseWriter, r *http.Request, d postgres.Device) error

func (s *Server) deviceRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/enroll", s.plain(s.enroll))
	mux.Handle("GET /v1/ca", s.plain(s.caCertificate))
	mux.Handle("POST /v1/renew", s.device(s.renew))
	mux.Handle("GET /v1/cvds", s.device(s.cvds))
	mux.Handle("GET /v1/cvds/{cvd}/snapshots", s.device(s.snapshots))
	mux.Handle("GET /v1/cvds/{cvd}/snapshots/{id}", s.device(s.snapshot))
	mux.Handle("GET /v1/cvds/{cvd}/tally", s.device(s.tally))
	mux.Handle("POST /v1/cvds/{cvd}/tally", s.device(s.addTally))
	mux.Handle("GET /v1/popularity", s.device(s.popularity))
	mux.Handle("POST /v1/progress", s.device(s.progress))
}

// device lets an approved device in, and nobody else.
func (s *Server) device(h deviceHandler) http.Handler {
	return s.plain(func(w http.ResponseWriter, r *http.Request) error {
		d, err := s.who(r)
		if err != nil {
			s.refuse(r, "device", d.Name, err)
			return err
		}
		if a, ok := w.(*answer); ok {
			a.who = "device:" + d.Name
		}
		s.saw(r.Context(), d, clientHost(r))
		err = h(w, r, d)
		if errors.Is(err, wire.ErrDenied) || errors.Is(err, postgres.ErrNotYours) {
			s.refuse(r, "device", d.Name, err)
		}
		return err
	})
}

// who is the device that asks; as far as it is known, also with an error.
func (s *Server) who(r *http.Request) (postgres.Device, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return postgres.Device{}, fmt.Errorf("%w: this needs a certificate of this server's CA: enrol the device first (looming enroll)", wire.ErrDenied)
	}
	return s.devices.Of(r.Context(), r.TLS.PeerCertificates[0])
}

// seenEvery is how often it is written down that a device is there.
const seenEvery = 20 * time.Second

// saw notes that a device was there. Failing is no reason to fail the request.
func (s *Server) saw(ctx context.Context, d postgres.Device, address string) {
	if !s.seen.due(d.ID, time.Now()) {
		return
	}
	if err := s.db.SawDevice(ctx, d.ID, address); err != nil && ctx.Err() == nil {
		s.log.Warn("cannot note that a device was there", "device", d.Name, "error", err)
	}
}

func (s *Server) caCertificate(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = w.Write(s.ca.PEM()) // the client is gone if this fails
	return nil
}

func (s *Server) cvds(w http.ResponseWriter, r *http.Request, d postgres.Device) error {
	list, err := s.db.CVDsOf(r.Context(), d.ID)
	if err != nil {
		return err
	}
	out := make([]wire.CVD, 0, len(list))
	for i := range list {
		out = append(out, list[i].Wire())
	}
	return respond(w, out)
}

func (s *Server) snapshots(w http.ResponseWriter, r *http.Request, d postgres.Device) error {
	c, err := s.db.CVDFor(r.Context(), d.ID, r.PathValue("cvd"))
	if err != nil {
		return err
	}
	list, err := s.db.Snapshots(r.Context(), c.ID, 0, 0)
	if err != nil {
		return err
	}
	return respond(w, append([]cvd.Snapshot{}, list...))
}

func (s *Server) snapshot(w http.ResponseWriter, r *http.Request, d postgres.Device) error {
	c, err := s.db.CVDFor(r.Context(), d.ID, r.PathValue("cvd"))
	if err != nil {
		return err
	}
	snap, err := s.db.Snapshot(r.Context(), c.ID, r.PathValue("id"))
	if err != nil {
		return fmt.Errorf("desktop %q: %w", c.Name, err)
	}
	return respond(w, snap)
}

// progress takes what an endpoint says about itself; what comes faster than a person can read is not kept.
func (s *Server) progress(w http.ResponseWriter, r *http.Request, d postgres.Device) error {
	var p wire.Progress
	if err := decode(w, r, &p); err != nil {
		return err
	}
	if p.Kind != "stream" && p.Kind != "snapshot" {
		return fmt.Errorf("%w: progress of kind %q: want stream or snapshot", wire.ErrInvalid, p.Kind)
	}
	if len(p.Misses) > maxMisses {
		p.Misses = p.Misses[:maxMisses]
	}
	for _, text := range []*string{&p.CVD, &p.Target, &p.Phase, &p.Message, &p.Current} {
		*text = clean(*text, 4096)
	}
	for i := range p.Misses {
		p.Misses[i].Path = clean(p.Misses[i].Path, 4096)
	}
	if !s.reports.due(d.ID, &p, time.Now()) {
		return done(w)
	}
	if err := s.db.SetProgress(r.Context(), d.ID, &p); err != nil {
		return err
	}
	return done(w)
}

const maxMisses = 20

// clean makes text fit for the database and a page: valid UTF-8 of bounded length without zero bytes. Paths need not be
// UTF-8.
func clean(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
