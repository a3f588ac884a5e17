package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// do sends a request and returns its answer with the body read.
func (r *rig) do(t *testing.T, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func (r *rig) login(t *testing.T, user, password string) (*http.Response, string) {
	t.Helper()
	b, err := json.Marshal(credentials{user, password})
	if err != nil {
		t.Fatal(err)
	}
	return r.do(t, "POST", "/api/login", string(b))
}

// Without a session nothing but the page itself and the login answers.
func TestNothingWithoutSession(t *testing.T) {
	r := start(t, &plain{})
	for _, c := range []string{
		"GET /api/me", "GET /api/feed", "GET /api/endpoints", "GET /api/desktops", "GET /api/snapshots?cvd=a",
		"POST /api/endpoints/a/approve", "POST /api/endpoints/a/revoke", "POST /api/logout",
	} {
		method, path, _ := strings.Cut(c, " ")
		for _, cookie := range []string{"", cookieName + "=", cookieName + "=stale"} {
			res, body := r.do(t, method, path, "", "Cookie", cookie)
			if res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "detail") {
				t.Errorf("%s with cookie %q: %d %s", c, cookie, res.StatusCode, body)
			}
		}
	}
}

// The session cookie cannot be read by scripts, leave TLS or come along from another site; logout takes it away.
func TestSessionCookie(t *testing.T) {
	r := start(t, &plain{})
	res, body := r.login(t, "admin", "right")
	if res.StatusCode != http.StatusOK || !strings.Contains(body, `"user":"admin"`) {
		t.Fatalf("login: %d %s", res.StatusCode, body)
	}
	c := res.Cookies()[0]
	if c.Name != cookieName || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie: %s", c.Raw)
	}
	if res, _ := r.do(t, "GET", "/api/me", ""); res.StatusCode != http.StatusOK {
		t.Errorf("with the cookie: %d", res.StatusCode)
	}
	if res, _ := r.do(t, "POST", "/api/logout", ""); res.StatusCode != http.StatusNoContent {
		t.Errorf("logout: %d", res.StatusCode)
	}
	if res, _ := r.do(t, "GET", "/api/me", ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the logout: %d", res.StatusCode)
	}
}

// Every way in which a login fails has its own status and says what to do.
func TestLoginRefused(t *testing.T) {
	p := &plain{}
	r := start(t, p)
	for _, c := range []struct {
		name, body, says string
		login            error
		want             int
	}{
		{"wrong password", `{"user":"admin","password":"no"}`, "Wrong user name or password", nil, 401},
		{"no password", `{"user":"admin"}`, "Give a user name", nil, 400},
		{"not JSON", `user=admin`, "Give a user name", nil, 400},
		{"too long", `{"user":"` + strings.Repeat("a", maxBody) + `","password":"x"}`, "Give a user name", nil, 400},
		{"long password", `{"user":"a","password":"` + strings.Repeat("a", maxPassword+1) + `"}`, "Give a user name", nil, 400},
		{"no database", `{"user":"admin","password":"right"}`, "cannot check passwords", errors.New("database is away"), 503},
	} {
		p.login = c.login
		res, body := r.do(t, "POST", "/api/login", c.body)
		if res.StatusCode != c.want || !strings.Contains(body, c.says) || len(res.Cookies()) > 0 {
			t.Errorf("%s: %d %s %v", c.name, res.StatusCode, body, res.Cookies())
		}
		if strings.Contains(body, "database is away") {
			t.Errorf("%s: the answer tells strangers about the inside: %s", c.name, body)
		}
	}
}

// Guessing is held back, from one address for one name, and it says for how long; others get in meanwhile, and failures
// that were not a wrong password do not count.
func TestLoginHeldBack(t *testing.T) {
	p := &plain{}
	r := start(t, p)
	now := time.Unix(1000, 0)
	r.limit.clock = func() time.Time { return now }
	p.login = errors.New("database is away")
	for range 2 * loginBurst {
		r.login(t, "mallory", "guess")
	}
	p.login = nil
	for range loginBurst {
		if res, body := r.login(t, "mallory", "guess"); res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("guess: %d %s", res.StatusCode, body)
		}
	}
	res, body := r.login(t, "mallory", "guess")
	var wait int
	if _, err := fmt.Sscan(res.Header.Get("Retry-After"), &wait); err != nil || res.StatusCode != http.StatusTooManyRequests ||
		!strings.Contains(body, fmt.Sprintf("Try again in %d seconds", wait)) {
		t.Fatalf("one too many: %d %s, retry after %q", res.StatusCode, body, res.Header.Get("Retry-After"))
	}
	if res, _ := r.login(t, "admin", "right"); res.StatusCode != http.StatusOK {
		t.Errorf("meanwhile the admin gets %d", res.StatusCode)
	}
	now = now.Add(time.Duration(wait) * time.Second)
	if res, _ := r.login(t, "mallory", "guess"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the wait: %d", res.StatusCode)
	}
}

// The limiter remembers a bounded number of keys (invariant 10) and forgets the most harmless.
func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter()
	now := time.Unix(1000, 0)
	l.clock = func() time.Time { return now }
	for range loginBurst {
		l.take("guilty", loginBurst)
	}
	for i := range limiterMax + 100 {
		l.take(fmt.Sprint(i), loginBurst)
	}
	if len(l.buckets) > limiterMax {
		t.Errorf("%d keys are kept", len(l.buckets))
	}
	if l.take("guilty", loginBurst) == 0 {
		t.Error("the one that guessed was forgotten")
	}
	now = now.Add(24 * time.Hour)
	l.take("fresh", loginBurst)
	if len(l.buckets) != 1 {
		t.Errorf("a day later %d keys are kept", len(l.buckets))
	}
}

// Another site cannot make a signed-in browser change anything.
func TestCrossSite(t *testing.T) {
	p := &plain{admin: func(string, string) error { t.Error("a request from another site came through"); return nil }}
	r := start(t, p)
	r.login(t, "admin", "right")
	for _, header := range [][]string{
		{"Origin", "https://evil.example"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
	} {
		for _, path := range []string{"/api/endpoints/a/approve", "/api/endpoints/a/revoke", "/api/logout", "/api/login"} {
			res, body := r.do(t, "POST", path, "{}", header...)
			if res.StatusCode != http.StatusForbidden || !strings.Contains(body, "another site") {
				t.Errorf("%s with %v: %d %s", path, header, res.StatusCode, body)
			}
		}
	}
}
