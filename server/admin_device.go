package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// deviceDoc is a device as admins see it.
type deviceDoc struct {
	Name        string    `json:"name"`
	Host        string    `json:"host"`
	OS          string    `json:"os"`
	State       string    `json:"state"`
	Online      bool      `json:"online"`
	Fingerprint string    `json:"fingerprint"`
	Address     string    `json:"address"`
	Created     time.Time `json:"created"`
	LastSeen    time.Time `json:"last_seen,omitzero"`
	ApprovedAt  time.Time `json:"approved_at,omitzero"`
	ApprovedBy  string    `json:"approved_by,omitempty"`
	Activity    string    `json:"activity,omitempty"`
}

func documentOf(d *postgres.Device) deviceDoc {
	return deviceDoc{
		Name: d.Name, Host: d.Host, OS: d.OS, State: string(d.State), Fingerprint: hex.EncodeToString(d.Fingerprint[:]),
		Online:  d.State == postgres.Approved && time.Since(d.LastSeen) < postgres.Online,
		Address: d.Address, Created: d.Created.UTC(), LastSeen: utc(d.LastSeen), ApprovedAt: utc(d.ApprovedAt), ApprovedBy: d.ApprovedBy,
	}
}

// utc leaves the zero time alone.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

func (s *Server) adminDevices(w http.ResponseWriter, r *http.Request, _ string) error {
	q, err := pageOf(r.URL.Query(), "name")
	if err != nil {
		return err
	}
	doing, err := face{s}.activities(r.Context())
	if err != nil {
		return err
	}
	list, total, err := s.db.DevicesPage(r.Context(), q)
	return respondPage(w, q, list, total, err, func(d *postgres.DeviceRow) deviceDoc {
		doc := documentOf(&d.Device)
		doc.Online, doc.Activity = d.Online, doing[d.Name]
		return doc
	})
}

func (s *Server) adminDevice(w http.ResponseWriter, r *http.Request, _ string) error {
	d, err := s.db.Device(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	doing, err := face{s}.activities(r.Context())
	if err != nil {
		return err
	}
	doc := documentOf(&d)
	doc.Activity = doing[d.Name]
	return respond(w, doc)
}

// approval may name the key that the admin compared.
type approval struct {
	Fingerprint string `json:"fingerprint"`
}

func (s *Server) adminApprove(w http.ResponseWriter, r *http.Request, admin string) error {
	var a approval
	if r.ContentLength != 0 {
		if err := decode(w, r, &a); err != nil {
			return err
		}
	}
	d, err := s.approve(r.Context(), admin, clientHost(r), r.PathValue("name"), a.Fingerprint)
	if err != nil {
		return err
	}
	return respond(w, documentOf(&d))
}

func (s *Server) adminRevoke(w http.ResponseWriter, r *http.Request, admin string) error {
	d, err := s.revoke(r.Context(), admin, clientHost(r), r.PathValue("name"))
	if err != nil {
		return err
	}
	return respond(w, documentOf(&d))
}

// approve lets a device in, for the API and the console alike.
func (s *Server) approve(ctx context.Context, admin, from, device, fingerprint string) (postgres.Device, error) {
	if fingerprint != "" {
		d, err := s.db.Device(ctx, device)
		if err != nil {
			return d, err
		}
		if have := hex.EncodeToString(d.Fingerprint[:]); !strings.EqualFold(strings.ReplaceAll(fingerprint, ":", ""), have) {
			return d, fmt.Errorf("%w: device %q has the key %s, not the one given: it may be somebody else", wire.ErrConflict, device, have)
		}
	}
	d, err := s.db.ApproveDevice(ctx, device, "admin:"+admin)
	return d, s.changed(ctx, "approve", admin, from, device, d, err)
}

func (s *Server) revoke(ctx context.Context, admin, from, device string) (postgres.Device, error) {
	d, err := s.db.RevokeDevice(ctx, device)
	return d, s.changed(ctx, "revoke", admin, from, device, d, err)
}

// changed makes sure that this server knows at once, and writes down who did it.
func (s *Server) changed(ctx context.Context, what, admin, from, device string, d postgres.Device, err error) error {
	if err != nil {
		return err
	}
	s.devices.Forget(d.ID)
	s.log.Info("admin: "+what, "device", device, "by", admin, "from", from)
	s.audit(ctx, postgres.Audit{Who: "admin:" + admin, Address: from, What: what + " device", Subject: device})
	return nil
}

func (s *Server) adminRemove(w http.ResponseWriter, r *http.Request, admin string) error {
	name := r.PathValue("name")
	d, err := s.db.Device(r.Context(), name)
	if err != nil {
		return err
	}
	if err := s.db.RemoveDevice(r.Context(), name); err != nil {
		return err
	}
	if err := s.changed(r.Context(), "remove", admin, clientHost(r), name, d, nil); err != nil {
		return err
	}
	return done(w)
}
