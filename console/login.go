package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// cookieName has the __Host- prefix: browsers then insist on Secure, Path=/ and no Domain.
const cookieName = "__Host-looming"

// Bounds of what a login may send.
const (
	maxBody     = 4096
	maxUser     = 200
	maxPassword = 1024
)

// session is who asks, found from the cookie.
type session struct {
	user  string
	token string
}

type credentials struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// who is what the page learns about its own session.
type who struct {
	User    string `json:"user"`
	Version string `json:"version"`
}

// login exchanges user and password for a session cookie.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	var in credentials
	body := http.MaxBytesReader(w, r.Body, maxBody)
	if err := json.NewDecoder(body).Decode(&in); err != nil || len(in.User) > maxUser || len(in.Password) > maxPassword {
		problem(w, http.StatusBadRequest, "Give a user name and a password.")
		return
	}
	if in.User == "" || in.Password == "" {
		problem(w, http.StatusBadRequest, "Give a user name and a password.")
		return
	}
	token, expires, wait, err := c.tryLogin(r.Context(), clientHost(r), in)
	switch {
	case wait > 0:
		c.log.Warn("console: login held back", "user", in.User, "from", r.RemoteAddr, "wait", wait)
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
		problem(w, http.StatusTooManyRequests, fmt.Sprintf("Too many failed attempts. Try again in %d seconds.", int(wait.Seconds())))
	case errors.Is(err, ErrLogin):
		c.log.Warn("console: login refused", "user", in.User, "from", r.RemoteAddr)
		problem(w, http.StatusUnauthorized, "Wrong user name or password.")
	case err != nil:
		c.log.Error("console: login failed", "user", in.User, "error", err)
		problem(w, http.StatusServiceUnavailable, "The server cannot check passwords right now. Its log says why; try again in a moment.")
	default:
		c.log.Info("console: login", "user", in.User, "from", r.RemoteAddr)
		http.SetCookie(w, cookie(token, expires))
		answer(w, who{User: in.User, Version: c.version})
	}
}

// tryLogin asks Auth unless there were too many failures, from this address or from it for this user.
func (c *Console) tryLogin(ctx context.Context, from string, in credentials) (token string, expires time.Time, wait time.Duration, err error) {
	pair := from + "\x00" + in.User
	if wait = c.limit.take(from, addressBurst); wait > 0 {
		return "", expires, wait, nil
	}
	if wait = c.limit.take(pair, loginBurst); wait > 0 {
		c.limit.forgive(from)
		return "", expires, wait, nil
	}
	token, expires, err = c.auth.Login(ctx, in.User, in.Password)
	if !errors.Is(err, ErrLogin) {
		c.limit.forgive(from)
		c.limit.forgive(pair)
	}
	return token, expires, 0, err
}

// logout ends the session on the server and in the browser.
func (c *Console) logout(w http.ResponseWriter, r *http.Request, s session) {
	if err := c.auth.Logout(r.Context(), s.token); err != nil {
		c.fail(w, r, err)
		return
	}
	http.SetCookie(w, cookie("", time.Unix(1, 0)))
	w.WriteHeader(http.StatusNoContent)
}

// me says whose session it is.
func (c *Console) me(w http.ResponseWriter, _ *http.Request, s session) {
	answer(w, who{User: s.user, Version: c.version})
}

// signedIn lets only requests with a living session through.
func (c *Console) signedIn(next func(http.ResponseWriter, *http.Request, session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ck, err := r.Cookie(cookieName)
		if err != nil || ck.Value == "" {
			problem(w, http.StatusUnauthorized, "Sign in first.")
			return
		}
		user, err := c.auth.Check(r.Context(), ck.Value)
		if err != nil {
			c.fail(w, r, err)
			return
		}
		next(w, r, session{user: user, token: ck.Value})
	}
}

func cookie(token string, expires time.Time) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: token, Path: "/", Expires: expires,
		HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode,
	}
}

// clientHost is the peer's address. Headers that a client could forge do not count.
func clientHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
