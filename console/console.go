package console

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Options are what a console needs. Fleet, Pages, Admin and Auth must be there.
type Options struct {
	Fleet Fleet
	Pages Pages
	Admin Admin
	Auth  Auth

	Version string       // shown in the page
	Log     *slog.Logger // nil: slog.Default()
}

// Console is the page, its JSON and its feed.
type Console struct {
	pages   Pages
	admin   Admin
	auth    Auth
	hub     *hub
	limit   *limiter
	version string
	beat    time.Duration // between two signs of life on a feed
	log     *slog.Logger
}

// New makes a console. Nothing runs until Run.
func New(o Options) *Console {
	log := o.Log
	if log == nil {
		log = slog.Default()
	}
	return &Console{
		pages: o.Pages, admin: o.Admin, auth: o.Auth,
		hub: newHub(o.Fleet, log), limit: newLimiter(), version: o.Version, beat: pingEvery, log: log,
	}
}

// Run keeps the live model and feeds the open pages until ctx ends; then it bids them goodbye and returns nil when the
// last has gone. Call it once.
func (c *Console) Run(ctx context.Context) error { return c.hub.run(ctx) }

// Handler serves everything, with paths from its own root: mount it with http.StripPrefix below any path that ends in
// a slash. It must be reached over TLS, or browsers will not keep the session.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/login", c.login)
	mux.HandleFunc("POST /api/logout", c.signedIn(c.logout))
	mux.HandleFunc("GET /api/me", c.signedIn(c.me))
	mux.HandleFunc("GET /api/feed", c.signedIn(c.feed))
	mux.HandleFunc("GET /api/endpoints", c.signedIn(c.endpoints))
	mux.HandleFunc("GET /api/desktops", c.signedIn(c.desktops))
	mux.HandleFunc("GET /api/snapshots", c.signedIn(c.snapshots))
	mux.HandleFunc("POST /api/endpoints/{id}/approve", c.signedIn(c.approve))
	mux.HandleFunc("POST /api/endpoints/{id}/revoke", c.signedIn(c.revoke))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusNotFound, "There is nothing here.")
	})
	mux.Handle("/", assets())
	return guard(sameOrigin(mux))
}

// sameOrigin refuses requests that change something and come from another site. GET passes; the websocket has
// gorilla's origin check.
func sameOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusForbidden, "This request came from another site and was refused.")
	}))
	return p.Handler(next)
}

// policy lets the page load its own files and nothing else: no inline script or style, no other host, no frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; " +
	"connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// guard sets the headers that every answer carries.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		next.ServeHTTP(w, r)
	})
}
