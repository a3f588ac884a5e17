package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// cvdDoc is a desktop as admins see it.
type cvdDoc struct {
	Name         string         `json:"name"`
	Owner        string         `json:"owner"`
	Created      time.Time      `json:"created"`
	Snapshots    int            `json:"snapshots"`
	Latest       cvd.SnapshotID `json:"latest,omitzero"`
	LastSnapshot time.Time      `json:"last_snapshot,omitzero"`
	LogicalBytes int64          `json:"logical_bytes"` // the latest snapshot, as files
	StoredBytes  int64          `json:"stored_bytes"`  // all its snapshots in packs, shared chunks counted whole
	UniqueBytes  int64          `json:"unique_bytes"`  // of those, what no other desktop uses
	Assigned     []string       `json:"assigned,omitempty"`
}

func cvdDocument(r *postgres.DesktopRow) cvdDoc {
	return cvdDoc{
		Name: r.Name, Owner: r.Owner, Created: r.Created.UTC(), Snapshots: r.Snapshots, Latest: r.Latest, LastSnapshot: utc(r.LatestAt),
		LogicalBytes: r.LogicalBytes, StoredBytes: r.StoredBytes, UniqueBytes: r.UniqueBytes,
	}
}

func (s *Server) adminCVDs(w http.ResponseWriter, r *http.Request, _ string) error {
	q, err := pageOf(r.URL.Query(), "name")
	if err != nil {
		return err
	}
	list, total, err := s.db.DesktopsPage(r.Context(), q)
	return respondPage(w, q, list, total, err, cvdDocument)
}

func (s *Server) adminCVD(w http.ResponseWriter, r *http.Request, _ string) error {
	row, err := s.db.Desktop(r.Context(), r.PathValue("cvd"))
	if err != nil {
		return err
	}
	doc := cvdDocument(&row)
	if doc.Assigned, err = s.db.Assigned(r.Context(), row.ID); err != nil {
		return err
	}
	return respond(w, doc)
}

// snapshotDoc is a snapshot as admins see it.
type snapshotDoc struct {
	cvd.Snapshot
	Committed time.Time `json:"committed"`
	NewBytes  int64     `json:"new_bytes"` // stored bytes that it added
}

func (s *Server) adminSnapshots(w http.ResponseWriter, r *http.Request, _ string) error {
	v := r.URL.Query()
	q, err := pageOf(v, "at")
	if err != nil {
		return err
	}
	if !v.Has("sort") && !v.Has("desc") {
		q.Desc = true // the newest first
	}
	c, err := s.db.CVD(r.Context(), r.PathValue("cvd"))
	if err != nil {
		return err
	}
	list, total, err := s.db.SnapshotsPage(r.Context(), c.ID, q)
	return respondPage(w, q, list, total, err, func(s *postgres.SnapshotRow) snapshotDoc {
		return snapshotDoc{s.Snapshot, s.Committed.UTC(), s.NewBytes}
	})
}

// deviceBody names a device.
func deviceBody(w http.ResponseWriter, r *http.Request) (string, error) {
	var body struct {
		Device string `json:"device"`
	}
	if err := decode(w, r, &body); err != nil {
		return "", err
	}
	if body.Device == "" {
		return "", fmt.Errorf("%w: say which device", wire.ErrInvalid)
	}
	return body.Device, nil
}

func (s *Server) adminAssign(w http.ResponseWriter, r *http.Request, admin string) error {
	device, err := deviceBody(w, r)
	if err != nil {
		return err
	}
	name := r.PathValue("cvd")
	if err := s.db.Assign(r.Context(), name, device, admin); err != nil {
		return err
	}
	s.did(r, admin, "assign desktop to "+device, name)
	return done(w)
}

// adminOwn gives a desktop to a device: to its new one, say, after the old one was removed.
func (s *Server) adminOwn(w http.ResponseWriter, r *http.Request, admin string) error {
	device, err := deviceBody(w, r)
	if err != nil {
		return err
	}
	name := r.PathValue("cvd")
	if err := s.db.Own(r.Context(), name, device); err != nil {
		return err
	}
	s.did(r, admin, "give desktop to "+device, name)
	return done(w)
}

func (s *Server) adminUnassign(w http.ResponseWriter, r *http.Request, admin string) error {
	name, device := r.PathValue("cvd"), r.PathValue("device")
	if err := s.db.Unassign(r.Context(), name, device); err != nil {
		return err
	}
	s.did(r, admin, "unassign desktop from "+device, name)
	return done(w)
}
