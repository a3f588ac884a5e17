package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A table's question reaches the implementation within its bounds, or not at all.
func TestQueryBounds(t *testing.T) {
	var got *Query
	r := start(t, &plain{pages: func(q Query) { got = &q }})
	r.login(t, "admin", "right")
	for _, c := range []struct {
		url, says string // says: refused with these words
		want      Query
	}{
		{url: "endpoints", want: Query{Sort: "name", Limit: DefaultLimit}},
		{url: "endpoints?q=+Lab+&state=pending&sort=-last_seen&offset=50&limit=200", want: Query{Search: "Lab", State: Pending, Sort: "last_seen", Desc: true, Offset: 50, Limit: 200}},
		{url: "snapshots?cvd=a%2Fb&sort=-at", want: Query{Sort: "at", Desc: true, Limit: DefaultLimit}},
		{url: "endpoints?limit=0", says: "limit"},
		{url: "endpoints?limit=201", says: "limit"},
		{url: "endpoints?limit=all", says: "limit"},
		{url: "endpoints?offset=-1", says: "offset"},
		{url: "endpoints?offset=99999999999999999999", says: "offset"},
		{url: "endpoints?sort=password", says: "the columns are name"},
		{url: "endpoints?sort=--name", says: "the columns are name"},
		{url: "desktops?sort=name;drop", says: "cannot be read"},
		{url: "desktops?sort=name%3Bdrop", says: "sort by"},
		{url: "endpoints?state=friendly", says: "the states are"},
		{url: "endpoints?q=" + strings.Repeat("a", MaxSearch+1), says: "search"},
		{url: "endpoints?q=%ff", says: "search"},
		{url: "snapshots", says: "which desktop"},
	} {
		got = nil
		res, body := r.do(t, "GET", "/api/"+c.url, "")
		switch {
		case c.says != "" && (res.StatusCode != http.StatusBadRequest || !strings.Contains(body, c.says) || got != nil):
			t.Errorf("%s: %d %s, asked %+v", c.url, res.StatusCode, body, got)
		case c.says == "" && (res.StatusCode != http.StatusOK || got == nil || *got != c.want):
			t.Errorf("%s: %d %s, asked %+v, want %+v", c.url, res.StatusCode, body, got, c.want)
		}
	}
}

// A page says where it is; no rows are [], and an error of the database is a 503 that does not tell what is inside.
func TestPages(t *testing.T) {
	r := start(t, &plain{pages: func(Query) {}})
	r.login(t, "admin", "right")
	_, body := r.do(t, "GET", "/api/endpoints?offset=5&limit=5", "")
	if strings.TrimSpace(body) != `{"items":[],"total":7,"offset":5,"limit":5}` {
		t.Errorf("a page is %s", body)
	}
	res, body := r.do(t, "GET", "/api/desktops", "")
	if res.StatusCode != http.StatusServiceUnavailable || strings.Contains(body, "database") {
		t.Errorf("without a database: %d %s", res.StatusCode, body)
	}
	_, body = r.do(t, "GET", "/api/snapshots?cvd=a%2Fb", "")
	if !strings.Contains(body, `"cvd":"a/b"`) {
		t.Errorf("the snapshots of a/b are %s", body)
	}
}

// Approve and revoke act in the name of who is signed in, on exactly the device named; refusals keep their reason.
func TestApproveRevoke(t *testing.T) {
	var did string
	var answer error
	r := start(t, &plain{admin: func(by, device string) error { did = by + " " + device; return answer }})
	r.login(t, "admin", "right")
	for _, c := range []struct {
		err  error
		want int
		says string
	}{
		{nil, http.StatusNoContent, ""},
		{fmt.Errorf("device: %w", ErrNotFound), http.StatusNotFound, "not there"},
		{fmt.Errorf("device ab/cd is revoked: %w", ErrConflict), http.StatusConflict, "ab/cd is revoked"},
		{errors.New("secret detail"), http.StatusServiceUnavailable, "cannot do this right now"},
	} {
		for _, verb := range []string{"approve", "revoke"} {
			did, answer = "", c.err
			res, body := r.do(t, "POST", "/api/endpoints/ab%2Fcd/"+verb, "")
			if res.StatusCode != c.want || did != "admin ab/cd" || !strings.Contains(body, c.says) || strings.Contains(body, "secret") {
				t.Errorf("%s answered %v: %d %s, did %q", verb, c.err, res.StatusCode, body, did)
			}
		}
	}
	if res, _ := r.do(t, "GET", "/api/endpoints/a/approve", ""); res.StatusCode == http.StatusNoContent {
		t.Error("a GET approves")
	}
}

// Every error is a problem document (RFC 9457) with words for a person.
func TestProblems(t *testing.T) {
	r := start(t, &plain{})
	for _, path := range []string{"/api/me", "/api/nothing", "/api/endpoints"} {
		res, body := r.do(t, "GET", path, "")
		var p Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || p.Status != res.StatusCode || p.Title == "" || p.Detail == "" {
			t.Errorf("%s: %s (%v)", path, body, err)
		}
		if ct := res.Header.Get("Content-Type"); ct != "application/problem+json" {
			t.Errorf("%s: content type %s", path, ct)
		}
	}
}
