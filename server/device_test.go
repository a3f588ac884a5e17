//go:build unix

package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/looming-project/looming/server/internal/ca"
	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
	"github.com/looming-project/looming/vfs/wire"
)

// A device waits until an admin approves it, can do nothing until then, and gets the same certificate however often it
// asks.
func TestEnrollAndApprove(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	c := s.client("desk-1")
	for range 2 {
		r, err := c.enroll("")
		must(t, err)
		if r.State != "pending" || r.Certificate != "" || r.Device != "desk-1" || len(r.Fingerprint) != 64 {
			t.Errorf("waiting: %+v", r)
		}
	}
	want(t, "a pending device lists desktops", c.do("GET", "/v1/cvds", nil, nil), wire.ErrDenied)
	s.wantRefusal("device:unknown", "certificate")

	var doc deviceDoc
	must(t, s.admin("GET", "/v1/admin/devices/desk-1", nil, &doc))
	want(t, "approving another key", s.admin("POST", "/v1/admin/devices/desk-1/approve", approval{strings.Repeat("00", 32)}, nil), wire.ErrConflict)
	must(t, s.admin("POST", "/v1/admin/devices/desk-1/approve", approval{doc.Fingerprint}, nil))
	first, err := c.enroll("")
	must(t, err)
	again, err := c.enroll("")
	must(t, err)
	if first.State != "approved" || first.Certificate == "" || first.Certificate != again.Certificate || first.CA != string(s.ca.PEM()) {
		t.Errorf("approved: %+v and %+v", first, again)
	}
	c.adopt(first)
	list := []wire.CVD{{}}
	must(t, c.do("GET", "/v1/cvds", nil, &list))
	if list == nil || len(list) != 0 {
		t.Errorf("desktops of a new device: %v", list)
	}
	want(t, "the name with another key", errOf(s.client("desk-1").enroll("")), wire.ErrConflict)
	s.wantRefusal("enrol:desk-1", "another device has this name")
	for _, name := range []string{"", "../etc", "a b", strings.Repeat("x", 64), "ü"} {
		want(t, "the name "+name, errOf(s.client(name).enroll("")), wire.ErrInvalid)
	}
}

func errOf(_ wire.EnrollReply, err error) error { return err }

// A token lets in as many devices as it has uses, without an admin, and then is worth nothing.
func TestEnrollByToken(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	var tok newToken
	must(t, s.admin("POST", "/v1/admin/tokens", map[string]int{"uses": 1, "ttl_seconds": 60}, &tok))
	a, b := s.client("a"), s.client("b")
	r, err := a.enroll(tok.Token)
	must(t, err)
	a.adopt(r)
	must(t, a.do("GET", "/v1/cvds", nil, nil))
	if again, err := a.enroll(tok.Token); err != nil || again.Certificate != r.Certificate {
		t.Errorf("the same request again: %+v, %v", again, err)
	}
	want(t, "the token again", errOf(b.enroll(tok.Token)), wire.ErrDenied)
	s.wantRefusal("enrol:b", "used up")
	want(t, "a taken name with a wrong token", errOf(s.client("a").enroll("nonsense")), wire.ErrDenied)
	want(t, "a wrong token", errOf(b.enroll("nonsense")), wire.ErrDenied)
	if r, err := b.enroll(""); err != nil || r.State != "pending" {
		t.Errorf("without a token: %+v, %v", r, err)
	}
	must(t, s.admin("POST", "/v1/admin/tokens", nil, &tok))
	must(t, s.admin("DELETE", fmt.Sprint("/v1/admin/tokens/", tok.ID), nil, nil))
	want(t, "a removed token", errOf(b.enroll(tok.Token)), wire.ErrDenied)
	for _, body := range []any{map[string]int{"uses": 0}, map[string]int{"ttl_seconds": -1}, []byte("{"), []byte(`{} {}`)} {
		want(t, "odd tokens", s.admin("POST", "/v1/admin/tokens", body, nil), wire.ErrInvalid)
	}
}

// A revoked device is out at its next request, on the connection that it has, whichever server it talks to and
// whichever did it. Removed ones are out too.
func TestRevokedAtOnce(t *testing.T) {
	dsn := pgtest.Database(t)
	s, other := serve(t, dsn), serve(t, dsn)
	for _, by := range []*served{s, other} {
		for _, verb := range []string{"revoke", "remove"} {
			name := verb + "-" + by.url[len(by.url)-5:]
			c := s.approved(name)
			get := func() (error, bool) {
				reused := false
				req, err := http.NewRequest("GET", s.url+"/v1/cvds", nil)
				must(t, err)
				trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
				resp, err := c.http.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
				must(t, err)
				defer resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					return wire.ReadProblem(resp), reused
				}
				_ = readToEnd(resp)
				return nil, reused
			}
			for range 3 {
				err, _ := get()
				must(t, err)
			}
			if verb == "revoke" {
				must(t, by.admin("POST", "/v1/admin/devices/"+name+"/revoke", nil, nil))
			} else {
				must(t, by.admin("DELETE", "/v1/admin/devices/"+name, nil, nil))
			}
			if by == s {
				err, reused := get()
				want(t, "at the next request", err, wire.ErrDenied)
				if !reused {
					t.Error("the test is about a connection that is open")
				}
			} else { // the other server tells this one through the database
				eventually(t, func() error {
					if err, _ := get(); !errors.Is(err, wire.ErrDenied) {
						return fmt.Errorf("still let in: %v", err)
					}
					return nil
				})
			}
			s.wantRefusal("device:"+name, verb)
		}
	}
}

func readToEnd(resp *http.Response) error {
	_, err := resp.Body.Read(make([]byte, 1<<16))
	return err
}

func eventually(t *testing.T, attempt func() error) {
	t.Helper()
	var err error
	for range 600 {
		if err = attempt(); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal(err)
}

// A certificate of another CA, and one whose key the device does not have, open nothing; both are logged by name.
func TestForeignAndStolenCertificates(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	good := s.approved("good")

	made, err := ca.Make(time.Now())
	must(t, err)
	foreign, err := ca.Load(made)
	must(t, err)
	stranger := s.client("stranger")
	csr, err := ca.ParseRequest(stranger.csr())
	must(t, err)
	issued, err := foreign.Issue(csr, "good") // the name of a device that is approved
	must(t, err)
	stranger.adopt(wire.EnrollReply{Certificate: string(issued.PEM)})
	want(t, "a certificate of another CA", stranger.do("GET", "/v1/cvds", nil, nil), wire.ErrDenied)
	s.wantRefusal("device:good", "not good")

	thief := s.client("thief")
	thief.use(tls.Certificate{Certificate: good.cert.Certificate, PrivateKey: thief.key})
	if err := thief.do("GET", "/v1/cvds", nil, nil); err == nil {
		t.Error("a certificate without its key was let in")
	}
	eventually(t, func() error {
		for _, r := range s.refusedRows("device:good") {
			if strings.Contains(r, "without proving") {
				return nil
			}
		}
		return errors.New("the stolen certificate was not audited")
	})
	must(t, good.do("GET", "/v1/cvds", nil, nil))
}

// A device renews its certificate, also with a new key; the old one stays good for its time.
func TestRenew(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	c := s.approved("desk")
	old := c.cert
	fresh := s.client("desk")
	var r wire.EnrollReply
	must(t, c.do("POST", "/v1/renew", wire.RenewRequest{CSR: fresh.csr()}, &r))
	fresh.adopt(r)
	must(t, fresh.do("GET", "/v1/cvds", nil, nil))
	c.use(old)
	must(t, c.do("GET", "/v1/cvds", nil, nil))
	leaf, err := x509.ParseCertificate(fresh.cert.Certificate[0])
	must(t, err)
	if leaf.Subject.CommonName != "desk" || time.Until(leaf.NotAfter) < 80*24*time.Hour {
		t.Errorf("renewed: %v until %v", leaf.Subject, leaf.NotAfter)
	}
	want(t, "renewing without a certificate", s.client("x").do("POST", "/v1/renew", wire.RenewRequest{CSR: fresh.csr()}, nil), wire.ErrDenied)
	want(t, "renewing with nonsense", fresh.do("POST", "/v1/renew", wire.RenewRequest{CSR: "x"}, nil), wire.ErrInvalid)
	want(t, "a body without end", fresh.do("POST", "/v1/renew", []byte(`{"csr":"`+strings.Repeat("x", maxJSON)+`"}`), nil), wire.ErrInvalid)
}

// A key that was replaced cannot replace its successor, and no device gets certificates without end.
func TestRenewIsBounded(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	c := s.approved("desk")
	fresh, thief := s.client("desk"), s.client("desk")
	var r wire.EnrollReply
	must(t, c.do("POST", "/v1/renew", wire.RenewRequest{CSR: fresh.csr()}, &r))
	var again wire.EnrollReply
	must(t, c.do("POST", "/v1/renew", wire.RenewRequest{CSR: fresh.csr()}, &again)) // the answer was lost
	if again.Certificate != r.Certificate {
		t.Error("the same request again has another answer")
	}
	fresh.adopt(r)
	d, err := s.db.Device(t.Context(), "desk")
	must(t, err)
	if key, err := ca.ParseRequest(fresh.csr()); err != nil || key.Fingerprint() != [32]byte(d.Fingerprint) {
		t.Errorf("the new key is not the device's: %v", err)
	}
	want(t, "a third key by the old one", c.do("POST", "/v1/renew", wire.RenewRequest{CSR: thief.csr()}, nil), wire.ErrDenied)
	s.wantRefusal("device:desk", "another key")
	want(t, "the old key by itself", c.do("POST", "/v1/renew", wire.RenewRequest{CSR: c.csr()}, nil), wire.ErrDenied)
	must(t, fresh.do("GET", "/v1/cvds", nil, nil))

	last, got := fresh, 0
	for range 20 {
		next := s.client("desk")
		var r wire.EnrollReply
		if err := last.do("POST", "/v1/renew", wire.RenewRequest{CSR: next.csr()}, &r); err != nil {
			want(t, "too many", err, wire.ErrDenied)
			continue
		}
		next.adopt(r)
		last, got = next, got+1
	}
	if got < 5 || got > 10 {
		t.Errorf("%d certificates in a moment, want about 8", got)
	}
	must(t, last.do("GET", "/v1/cvds", nil, nil))
}

// Invariant 8: what belongs to one device does not exist for another, until an admin assigns it.
func TestOwnDesktopsOnly(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	a, b := s.approved("a"), s.approved("b")
	must(t, a.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "desk"}, nil))
	want(t, "another device's desktop", b.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "desk"}, nil), wire.ErrDenied)
	s.wantRefusal("device:b", "another device")
	must(t, a.do("POST", "/v1/cvds/desk/tally", tallyOf("bin/sh"), nil))
	sees := func(sentinel error) {
		t.Helper()
		for _, path := range []string{"/v1/cvds/desk/snapshots", "/v1/cvds/desk/tally"} {
			var b2 []byte
			want(t, "b gets "+path, b.do("GET", path, nil, &b2), sentinel)
		}
	}
	sees(wire.ErrNotFound)
	want(t, "b adds to the tally", b.do("POST", "/v1/cvds/desk/tally", tallyOf("bin/ls"), nil), wire.ErrNotFound)
	must(t, s.admin("POST", "/v1/admin/cvds/desk/assign", map[string]string{"device": "b"}, nil))
	sees(nil)
	must(t, b.do("POST", "/v1/cvds/desk/tally", tallyOf("bin/ls"), nil))
	want(t, "b writes the desktop", b.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "desk"}, nil), wire.ErrDenied)
	var list []wire.CVD
	must(t, b.do("GET", "/v1/cvds", nil, &list))
	if len(list) != 1 || list[0].Name != "desk" || list[0].Device != "a" {
		t.Errorf("b lists %+v", list)
	}
	if got, want := a.used("/v1/cvds/desk/tally"), []string{"bin/ls", "bin/sh"}; !slices.Equal(got, want) {
		t.Errorf("the tally has %q, want %q", got, want)
	}
	want(t, "no such snapshot", a.do("GET", "/v1/cvds/desk/snapshots/latest", nil, nil), wire.ErrNotFound)
	must(t, s.admin("DELETE", "/v1/admin/cvds/desk/assign/b", nil, nil))
	sees(wire.ErrNotFound)
}
