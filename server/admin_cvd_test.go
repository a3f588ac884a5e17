//go:build unix

package server

import (
	"strings"
	"testing"

	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
	"github.com/looming-project/looming/vfs/wire"
)

// A desktop whose device was removed says who can help, and an admin gives it to another device, which then writes it
// while nobody else does.
func TestOwner(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	old := s.approved("old")
	must(t, old.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "desk"}, nil))
	must(t, s.admin("DELETE", "/v1/admin/devices/old", nil, nil))
	fresh, other := s.approved("new"), s.approved("other")
	begin := func(c *client) (out wire.Session, err error) {
		return out, c.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "desk"}, &out)
	}
	_, err := begin(fresh)
	want(t, "before it is given", err, wire.ErrDenied)
	if err == nil || !strings.Contains(err.Error(), "has no owner: ask an admin to run loomctl cvd own") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	own := func(device string) error {
		return s.admin("POST", "/v1/admin/cvds/desk/owner", map[string]string{"device": device}, nil)
	}
	must(t, own("new"))
	open, err := begin(fresh)
	must(t, err)
	must(t, fresh.do("POST", "/v1/cvds/desk/tally", tallyOf("bin/sh"), nil))
	must(t, own("other"))
	must(t, own("other"))
	want(t, "an upload of the owner before", fresh.do("POST", "/v1/sessions/"+open.ID+"/have", make([]byte, 32), nil), wire.ErrDenied)
	_, err = begin(fresh)
	want(t, "the owner before", err, wire.ErrDenied)
	_, err = begin(other)
	must(t, err)

	want(t, "no such device", own("nobody"), wire.ErrNotFound)
	if err := own("nobody"); err == nil || !strings.Contains(err.Error(), `device "nobody": not found`) {
		t.Errorf("it does not say that the device is missing: %v", err)
	}
	want(t, "no device", own(""), wire.ErrInvalid)
	want(t, "no such desktop", s.admin("POST", "/v1/admin/cvds/x/owner", map[string]string{"device": "new"}, nil), wire.ErrNotFound)
	must(t, s.admin("POST", "/v1/admin/devices/new/revoke", nil, nil))
	want(t, "a revoked device", own("new"), wire.ErrConflict)
	rows, err := s.db.Audits(t.Context(), 100)
	must(t, err)
	for _, r := range rows {
		if r.Who == "admin:root" && r.What == "give desktop to new" && r.Subject == "desk" {
			return
		}
	}
	t.Error("it was not audited")
}
