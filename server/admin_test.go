//go:build unix

package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/looming-project/looming/console"
	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
	"github.com/looming-project/looming/vfs/wire"
)

// Every path of the admins' API is closed to whoever has no admin's token, devices included.
func TestAdminIsForAdmins(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	device := s.approved("desk")
	for _, c := range []struct{ method, path string }{
		{"GET", "devices"},
		{"GET", "devices/desk"},
		{"POST", "devices/desk/approve"},
		{"POST", "devices/desk/revoke"},
		{"DELETE", "devices/desk"},
		{"GET", "tokens"},
		{"POST", "tokens"},
		{"DELETE", "tokens/1"},
		{"GET", "cvds"},
		{"GET", "cvds/x"},
		{"GET", "cvds/x/snapshots"},
		{"POST", "cvds/x/assign"},
		{"DELETE", "cvds/x/assign/desk"},
		{"POST", "cvds/x/owner"},
		{"GET", "streams"},
		{"GET", "volumes"},
		{"POST", "volumes"},
		{"POST", "volumes/x/drain"},
		{"DELETE", "volumes/x"},
		{"GET", "stats"},
		{"GET", "audit"},
		{"POST", "verify"},
		{"GET", "users"},
		{"POST", "users"},
		{"PUT", "users/root/password"},
		{"DELETE", "users/root"},
		{"DELETE", "users/root/tokens"},
	} {
		path := "/v1/admin/" + c.path
		want(t, c.method+" "+path+" of a device", device.do(c.method, path, nil, nil), wire.ErrDenied)
		want(t, c.method+" "+path+" with a wrong token", s.send(device.http, c.method, path, "nonsense", nil, nil), wire.ErrDenied)
	}
	s.wantRefusal("admin:unknown", "not known")
	must(t, device.do("GET", "/v1/cvds", nil, nil)) // nothing of all this revoked it
}

// What an admin does is written down with the name and the address.
func TestAdminIsAudited(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	s.approved("desk")
	must(t, s.admin("POST", "/v1/admin/users", map[string]string{"name": "eve", "password": "a long password"}, nil))
	must(t, s.admin("PUT", "/v1/admin/users/eve/password", map[string]string{"password": "another password"}, nil))
	must(t, s.admin("DELETE", "/v1/admin/users/eve", nil, nil))
	must(t, s.admin("POST", "/v1/admin/devices/desk/revoke", nil, nil))
	must(t, s.admin("DELETE", "/v1/admin/devices/desk", nil, nil))
	must(t, s.admin("POST", "/v1/admin/tokens", nil, nil))
	must(t, s.admin("POST", "/v1/admin/verify", nil, nil))
	rows, err := s.db.Audits(t.Context(), 100)
	must(t, err)
	for _, what := range []string{
		"approve device desk", "revoke device desk", "remove device desk", "add user eve", "set password eve",
		"remove user eve", "create enrolment token 1", "verify ",
	} {
		found := false
		for _, r := range rows {
			found = found || r.What+" "+r.Subject == what && r.Who == "admin:root" && r.Address == "127.0.0.1" && !r.Refused
		}
		if !found {
			t.Errorf("no row about %q in %+v", what, rows)
		}
	}
	want(t, "the last admin", s.admin("DELETE", "/v1/admin/users/root", nil, nil), wire.ErrConflict)
	want(t, "a short password", s.admin("POST", "/v1/admin/users", map[string]string{"name": "x", "password": "short"}, nil), wire.ErrInvalid)
}

// Lists come in pages that neither repeat nor miss a row, sorted and searched on the server.
func TestAdminPages(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	for _, name := range []string{"a", "b", "c", "d%", "e"} {
		if _, err := s.client(strings.TrimSuffix(name, "%")).enroll(""); err != nil {
			t.Fatal(err)
		}
	}
	names := func(query string) string {
		t.Helper()
		var p Page[deviceDoc]
		must(t, s.admin("GET", "/v1/admin/devices?"+query, nil, &p))
		all := ""
		for _, d := range p.Items {
			all += d.Name
		}
		return all
	}
	for query, want := range map[string]string{
		"": "abcde", "sort=-name": "edcba", "sort=name&desc=true": "edcba", "limit=2": "ab",
		"limit=2&offset=4": "e", "sort=state&limit=3&offset=1": "bcd", "q=HOST-B": "b", "q=%25": "", "state=pending": "abcde", "state=approved": "",
	} {
		if got := names(query); got != want {
			t.Errorf("?%s: %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"sort=nonsense", "limit=0", "limit=x", "offset=-1", "desc=maybe", "q=" + strings.Repeat("x", 201)} {
		want(t, query, s.admin("GET", "/v1/admin/devices?"+query, nil, nil), wire.ErrInvalid)
	}
}

// The console knows every column that it sorts by, and gets the errors that it understands.
func TestConsoleFace(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	s.approved("desk")
	f := face{s.Server}
	for _, column := range console.EndpointColumns {
		p, err := f.Endpoints(t.Context(), console.Query{Sort: column, Desc: true, Limit: 10})
		if err != nil || len(p.Items) != 1 || p.Items[0].ID != "desk" || !p.Items[0].Online {
			t.Errorf("endpoints by %s: %+v, %v", column, p, err)
		}
	}
	must(t, s.approved("a").do("POST", "/v1/sessions", wire.BeginRequest{CVD: "cvd"}, nil))
	for _, column := range console.DesktopColumns {
		if p, err := f.Desktops(t.Context(), console.Query{Sort: column, Limit: 10}); err != nil || len(p.Items) != 1 || p.Items[0].Owner != "a" {
			t.Errorf("desktops by %s: %+v, %v", column, p, err)
		}
	}
	for _, column := range console.SnapshotColumns {
		if _, err := f.Snapshots(t.Context(), "cvd", console.Query{Sort: column, Limit: 10}); err != nil {
			t.Errorf("snapshots by %s: %v", column, err)
		}
	}
	if _, err := f.Snapshots(t.Context(), "none", console.Query{Sort: "at", Limit: 1}); !errors.Is(err, console.ErrNotFound) {
		t.Errorf("snapshots of nothing: %v", err)
	}
	if err := f.Approve(t.Context(), "root", "nobody"); !errors.Is(err, console.ErrNotFound) {
		t.Errorf("approve nobody: %v", err)
	}
	must(t, f.Revoke(t.Context(), "root", "desk"))
	if err := f.Approve(t.Context(), "root", "desk"); !errors.Is(err, console.ErrConflict) {
		t.Errorf("approve a revoked device: %v", err)
	}
}

// A token that got into wrong hands is ended, by itself or with the password; logins and others' tokens stay.
func TestEndTokens(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	ctx := t.Context()
	must(t, s.admin("POST", "/v1/admin/users", map[string]string{"name": "eve", "password": "a long password"}, nil))
	for _, end := range []func() error{
		func() error { return s.admin("DELETE", "/v1/admin/users/eve/tokens", nil, nil) },
		func() error {
			return s.admin("PUT", "/v1/admin/users/eve/password", map[string]any{"password": "a long password", "end_tokens": true}, nil)
		},
	} {
		token, err := s.admins.NewToken(ctx, "eve")
		must(t, err)
		must(t, s.send(s.client("x").http, "GET", "/v1/admin/stats", token, nil, nil))
		must(t, end())
		want(t, "the token that was ended", s.send(s.client("x").http, "GET", "/v1/admin/stats", token, nil, nil), wire.ErrDenied)
	}
	login, _, err := face{s.Server}.Login(ctx, "eve", "a long password")
	must(t, err)
	must(t, s.admin("DELETE", "/v1/admin/users/eve/tokens", nil, nil))
	if who, err := (face{s.Server}).Check(ctx, login); err != nil || who != "eve" {
		t.Errorf("the login went too: %q, %v", who, err)
	}
	want(t, "nobody's tokens", s.admin("DELETE", "/v1/admin/users/nobody/tokens", nil, nil), wire.ErrNotFound)
	must(t, s.admin("DELETE", "/v1/admin/users/root/tokens", nil, nil))
	want(t, "its own token", s.admin("GET", "/v1/admin/stats", nil, nil), wire.ErrDenied)
}

// Logins: right and wrong passwords, names that do not exist, sessions that end.
func TestConsoleLogin(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	f := face{s.Server}
	ctx := t.Context()
	for _, c := range [][2]string{{"root", "wrong password"}, {"nobody", "a long password"}, {"", ""}} {
		if _, _, err := f.Login(ctx, c[0], c[1]); !errors.Is(err, console.ErrLogin) {
			t.Errorf("login %q: %v", c, err)
		}
	}
	token, expires, err := f.Login(ctx, "root", "a long password")
	must(t, err)
	if expires.IsZero() {
		t.Error("a login that never ends")
	}
	if user, err := f.Check(ctx, token); err != nil || user != "root" {
		t.Errorf("%q, %v", user, err)
	}
	must(t, f.Logout(ctx, token))
	if _, err := f.Check(ctx, token); !errors.Is(err, console.ErrSession) {
		t.Errorf("after logout: %v", err)
	}
}

// What endpoints say about their work is what the console and the API show: live, then offline when it falls silent.
func TestStreams(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	c := s.approved("desk")
	p := wire.Progress{
		Kind: "stream", CVD: "cvd", Target: "/srv/\xff", Phase: "filling", BytesDone: 5, BytesTotal: 10, StartDone: 1, StartTotal: 1,
		Rate: 100, ETA: 7, Misses: make([]wire.Miss, 30),
	}
	must(t, c.do("POST", "/v1/progress", p, nil))
	must(t, c.do("POST", "/v1/progress", wire.Progress{Kind: "snapshot", CVD: "cvd", Phase: "done", BytesRead: 3}, nil))
	want(t, "a kind that is none", c.do("POST", "/v1/progress", wire.Progress{Kind: "x"}, nil), wire.ErrInvalid)
	var m console.Model
	must(t, s.admin("GET", "/v1/admin/streams", nil, &m))
	if len(m.Streams) != 1 || len(m.Uploads) != 1 {
		t.Fatalf("%+v", m)
	}
	st := m.Streams[0]
	if st.Phase != console.Filling || st.BytesDone != 5 || st.BytesTotal != 10 || st.BytesPerSecond != 100 || st.ETASeconds == nil || *st.ETASeconds != 7 ||
		len(st.Misses) != maxMisses || st.Device != "desk" {
		t.Errorf("%+v", st)
	}
	if m.Uploads[0].Phase != console.Committed || m.Totals.Streams != 1 || m.Totals.Uploads != 0 || m.Totals.Endpoints != 1 || len(m.Volumes) != 1 {
		t.Errorf("%+v", m)
	}
	if m.Endpoints[0].Activity != "streaming cvd" || len(m.Endpoints[0].Key) != 64 {
		t.Errorf("%+v", m.Endpoints)
	}
	reports, err := face{s.Server}.reports(t.Context())
	must(t, err)
	for i := range reports {
		reports[i].Phase = "stopped"
	}
	if sums, err := (face{s.Server}).totals(t.Context(), reports); err != nil || sums.Streams != 0 || len(activitiesOf(reports)) != 0 {
		t.Errorf("interrupted work counts as under way: %+v, %v", sums, err)
	}
	reports, err = face{s.Server}.reports(t.Context())
	must(t, err)
	for i := range reports {
		if reports[i].Kind == "stream" {
			reports[i].Age = 2 * quiet
			if st := stream(&reports[i]); st.Phase != console.Offline || st.Message == "" || st.BytesPerSecond != 0 || st.ETASeconds != nil {
				t.Errorf("silent: %+v", st)
			}
		}
	}
	woken := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- face{s.Server}.Watch(ctx, func() { woken <- struct{}{} }) }()
	<-woken
	must(t, c.do("POST", "/v1/progress", p, nil))
	<-woken
	cancel()
	<-ended
}

// Metrics are for this machine and for admins; they count what came and went by route, not by name.
func TestMetrics(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	c := s.approved("desk")
	must(t, c.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "secret-name"}, nil))
	must(t, c.do("GET", "/v1/cvds/secret-name/snapshots", nil, nil))
	var text []byte
	must(t, c.do("GET", "/metrics", nil, &text))
	for _, line := range []string{
		`looming_requests_total{route="POST /v1/sessions",status="200"} 1`,
		`looming_requests_total{route="GET /v1/cvds/{cvd}/snapshots",status="200"} 1`, "looming_sessions_total 1", "go_goroutines",
		"looming_database_connections ", "looming_received_bytes_total", "looming_sent_bytes_total", "looming_packs_total 0",
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("no %q in the metrics", line)
		}
	}
	if strings.Contains(string(text), "secret-name") {
		t.Error("names of desktops are in the metrics")
	}
}

// Panics end one request, not the server.
func TestPanics(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	h := s.logged(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a defect") }))
	w := recorder(h, "GET", "/x")
	var p wire.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 500 || p.Type != "looming:internal" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(s.logs.String(), "a defect") {
		t.Error("the panic is not in the log")
	}
}
