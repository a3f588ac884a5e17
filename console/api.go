package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

func (c *Console) endpoints(w http.ResponseWriter, r *http.Request, _ session) {
	servePage(c, w, r, EndpointColumns, c.pages.Endpoints)
}

func (c *Console) desktops(w http.ResponseWriter, r *http.Request, _ session) {
	servePage(c, w, r, DesktopColumns, c.pages.Desktops)
}

func (c *Console) snapshots(w http.ResponseWriter, r *http.Request, _ session) {
	cvd := r.URL.Query().Get("cvd")
	if cvd == "" {
		problem(w, http.StatusBadRequest, "Say which desktop: ?cvd=NAME.")
		return
	}
	servePage(c, w, r, SnapshotColumns, func(ctx context.Context, q Query) (Page[Snapshot], error) {
		return c.pages.Snapshots(ctx, cvd, q)
	})
}

// servePage answers one page of a table.
func servePage[T any](c *Console, w http.ResponseWriter, r *http.Request, columns []string, list func(context.Context, Query) (Page[T], error)) {
	v, err := url.ParseQuery(r.URL.RawQuery) // r.URL.Query would drop what it cannot read
	if err != nil {
		problem(w, http.StatusBadRequest, "The address cannot be read: "+err.Error())
		return
	}
	q, err := parseQuery(v, columns)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	p, err := list(r.Context(), q)
	if err != nil {
		c.fail(w, r, err)
		return
	}
	p.Items, p.Offset, p.Limit = orEmpty(p.Items), q.Offset, q.Limit
	answer(w, p)
}

func (c *Console) approve(w http.ResponseWriter, r *http.Request, s session) {
	c.change(w, r, s, "approve", c.admin.Approve)
}

func (c *Console) revoke(w http.ResponseWriter, r *http.Request, s session) {
	c.change(w, r, s, "revoke", c.admin.Revoke)
}

// change does one thing to one device and has the feed show it soon.
func (c *Console) change(w http.ResponseWriter, r *http.Request, s session, verb string, do func(ctx context.Context, by, device string) error) {
	device := r.PathValue("id")
	if err := do(r.Context(), s.user, device); err != nil {
		c.fail(w, r, err)
		return
	}
	c.log.Info("console: "+verb, "device", device, "by", s.user)
	c.hub.wake()
	w.WriteHeader(http.StatusNoContent)
}

// fail answers an error of an implementation: the table from error to status.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case r.Context().Err() != nil: // nobody listens
	case errors.Is(err, ErrSession):
		problem(w, http.StatusUnauthorized, "Your session has ended. Sign in again.")
	case errors.Is(err, ErrNotFound):
		problem(w, http.StatusNotFound, "It is not there (any more).")
	case errors.Is(err, ErrConflict):
		problem(w, http.StatusConflict, err.Error())
	default:
		c.log.Error("console: request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		problem(w, http.StatusServiceUnavailable, "The server cannot do this right now. Its log says why; try again in a moment.")
	}
}

// Problem is how errors are answered (RFC 9457, application/problem+json). Detail is meant for the person.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(Problem{Title: http.StatusText(status), Status: status, Detail: detail})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(v)
}
