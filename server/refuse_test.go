//go:build unix

package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/looming-project/looming/console"
	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
	"github.com/looming-project/looming/vfs/wire"
)

// selfSigned is a certificate that says whatever its maker wants.
func selfSigned(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A stranger with certificates of its own making fills neither memory nor the log nor the database: names are cut, and
// one network is written down only so often. All are counted.
func TestRefusalsAreBounded(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	const many = 3 * refusalsBurst
	for i := range many {
		c := s.client("x")
		c.use(selfSigned(t, fmt.Sprintf("%d\x1b[2J\n%s", i, strings.Repeat("x", 40_000))))
		want(t, "a certificate of its own making", c.do("GET", "/v1/cvds", nil, nil), wire.ErrDenied)
		c.http.CloseIdleConnections()
	}
	rows, err := s.db.Audits(t.Context(), 1000)
	must(t, err)
	refused := 0
	for _, r := range rows {
		if r.Refused {
			refused++
		}
		if len(r.Who) > 100 || len(r.Reason) > reasonMax || strings.ContainsAny(r.Who+r.Reason, "\x1b\n") {
			t.Errorf("audited: %.200q %.200q", r.Who, r.Reason)
		}
	}
	if refused < refusalsBurst || refused >= many {
		t.Errorf("%d of %d refusals are audited, want about %d", refused, many, refusalsBurst)
	}
	if n := len(s.logs.String()); n > 200_000 {
		t.Errorf("%d bytes of log", n)
	}
	all, unwritten := s.counted("looming_refusals_total"), s.counted("looming_refusals_unwritten_total")
	if all != many || unwritten != many-refused {
		t.Errorf("counted %d, of those %d unwritten; want %d and %d", all, unwritten, many, many-refused)
	}
}

// counted is the sum of a counter over its labels.
func (s *served) counted(name string) (sum int) {
	s.t.Helper()
	families, err := s.metrics.registry.Gather()
	must(s.t, err)
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.Metric {
				sum += int(m.Counter.GetValue())
			}
		}
	}
	return sum
}

// What is kept to know what was written down lately does not grow with what strangers say.
func TestRefusalsMemory(t *testing.T) {
	m := newRefusals()
	now := time.Now()
	for i := range 2 * refusalsMax {
		key := [32]byte{byte(i), byte(i >> 8), byte(i >> 16)}
		m.judge(fmt.Sprint(i), key, now)
		if len(m.last) > refusalsMax || len(m.rates.all) > limiterMax {
			t.Fatalf("%d keys and %d networks after %d", len(m.last), len(m.rates.all), i)
		}
	}
	if got := m.judge("n", [32]byte{1, 2, 3, 4}, now); got != fresh {
		t.Errorf("a new one: %v", got)
	}
	if got := m.judge("n", [32]byte{1, 2, 3, 4}, now.Add(time.Second)); got != repeated {
		t.Errorf("the same again: %v", got)
	}
}

// Somebody who cannot log in with odd names fills nothing either.
func TestLoginRefusalsAreBounded(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	s.refuseFrom(context.Background(), "login", strings.Repeat("n\n", 1000), "", "log in", errUnproven)
	for _, a := range s.refusedRows("login:" + strings.Repeat("n?", nameMax/2)) {
		if strings.Contains(a, "without proving") {
			return
		}
	}
	t.Error("the name was not cut to what is kept")
}

// A name that the database cannot even hold is a wrong name, and no defect of the server's.
func TestLoginWithOddNames(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	for _, name := range []string{"a\x00", "\xff", strings.Repeat("x", 10_000), ""} {
		_, _, err := face{s.Server}.Login(t.Context(), name, "a long password")
		want(t, fmt.Sprintf("%.10q", name), err, console.ErrLogin)
	}
}

// A device that asks for a desktop of another's hears what it would hear if there were none, and is written down; one
// that asks for what is not there is not.
func TestNotYoursIsAudited(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	owner, other := s.approved("owner"), s.approved("other")
	must(t, owner.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "desk"}, nil))
	hidden := other.do("GET", "/v1/cvds/desk/snapshots", nil, nil)
	want(t, "another's", hidden, wire.ErrNotFound)
	none := other.do("GET", "/v1/cvds/none/snapshots", nil, nil)
	want(t, "none", none, wire.ErrNotFound)
	if strings.ReplaceAll(hidden.Error(), `"desk"`, `"none"`) != none.Error() {
		t.Errorf("the two can be told apart: %q, %q", hidden, none)
	}
	s.wantRefusal("device:other", "not assigned")
	rows, err := s.db.Audits(t.Context(), 100)
	must(t, err)
	for _, r := range rows {
		if r.Refused && strings.Contains(r.What, "none") {
			t.Errorf("audited: %+v", r)
		}
	}
}
