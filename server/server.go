package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/looming-project/looming/console"
	"github.com/looming-project/looming/server/internal/auth"
	"github.com/looming-project/looming/server/internal/ca"
	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/session"
	"github.com/looming-project/looming/vfs/wire"
)

// Options of a server. Database must be set for Open; Serve does without.
type Options struct {
	// Database is a connection string of Postgres, with sslmode in it.
	Database string
	// Volumes are places for packs to add to those that the database knows.
	Volumes []string
	// Names are hosts and addresses that clients use for this server, beside its own.
	Names   []string
	Version string
	Log     *slog.Logger // nil: slog.Default()

	firstVolume string // added where the database knows none
}

// Server serves devices and admins. Make one with Open, have Run running while Handler is served, and Close it last.
type Server struct {
	version string
	outside string // the URL for endpoints; empty: not known
	log     *slog.Logger
	db      *postgres.DB
	ca      *ca.Authority
	cert    *ca.Server
	devices *auth.Devices
	admins  *auth.Admins
	content *session.Service
	console *console.Console
	metrics *metrics
	refused *refusals
	enrols  *limiter
	seen    *sightings
	reports *reports
	claims  claims
	popular popular
	limits  limits

	verifying sync.Mutex // held while a verification runs
}

// Open connects to the database, waiting until it is up, brings its schema up to date and opens the volumes.
func Open(ctx context.Context, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Version == "" {
		o.Version = "unknown"
	}
	db, err := postgres.Open(ctx, o.Database)
	if err != nil {
		return nil, err
	}
	s := &Server{version: o.Version, log: o.Log, db: db}
	if err := s.open(ctx, o); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context, o Options) error {
	made, err := s.db.Secret(ctx, "ca", func() ([]byte, error) { return ca.Make(time.Now()) })
	if err != nil {
		return err
	}
	if s.ca, err = ca.Load(made); err != nil {
		return fmt.Errorf("the CA in the database: %w", err)
	}
	if s.cert, err = s.ca.NewServer(o.Names); err != nil {
		return err
	}
	s.content, err = session.Open(ctx, s.db, session.Options{Volumes: o.Volumes, FirstVolume: o.firstVolume, Log: o.Log})
	if err != nil {
		return err
	}
	s.devices, s.admins = auth.NewDevices(s.db, s.ca), auth.NewAdmins(s.db)
	s.refused, s.enrols, s.seen = newRefusals(), newLimiter(), newSightings()
	s.reports = newReports()
	s.metrics = newMetrics(s)
	f := face{s}
	s.console = console.New(console.Options{Fleet: f, Pages: f, Admin: f, Auth: f, Version: o.Version, Log: o.Log})
	return nil
}

// Run does what goes on beside requests, until ctx ends: it hears of changes, feeds the console, and tidies up.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.again(ctx, "listening for changes of devices", s.devices.Run) })
	g.Go(func() error { return s.console.Run(ctx) })
	g.Go(func() error { return s.tidy(ctx) })
	g.Go(func() error { return s.again(ctx, "working out what desktops cost", s.keepFigures) })
	g.Go(func() error { return s.again(ctx, "reading the limits of devices", s.keepLimits) })
	g.Go(func() error { return s.runTransfer(ctx) })
	return g.Wait()
}

// again repeats work that must go on while the server does.
func (s *Server) again(ctx context.Context, what string, run func(context.Context) error) error {
	for {
		err := run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.log.Warn("trying again: "+what, "error", err)
		if !pause(ctx, time.Second) {
			return nil
		}
	}
}

// How long is kept what only tells of the past.
const (
	tidyEvery    = 10 * time.Minute
	keepAudit    = 365 * 24 * time.Hour
	keepProgress = 7 * 24 * time.Hour
	keepPending  = 24 * time.Hour
)

func (s *Server) tidy(ctx context.Context) error {
	for pause(ctx, tidyEvery) {
		err := errors.Join(s.db.PruneAudit(ctx, keepAudit), s.db.PruneProgress(ctx, keepProgress), s.db.PrunePending(ctx, keepPending))
		if err != nil && ctx.Err() == nil {
			s.log.Warn("tidying up failed, trying again later", "error", err)
		}
	}
	return nil
}

// Close lets go of the volumes and the database. No request may be under way.
func (s *Server) Close() error { return errors.Join(s.content.Close(), s.db.Close()) }

// Handler serves everything: the protocol, the admins' API, the console, and what watches servers.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, map[string]bool{"live": true}) })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.watched(s.metrics.handler()))
	s.deviceRoutes(mux)
	s.contentRoutes(mux)
	s.adminRoutes(mux)
	mux.Handle("/v1/", s.plain(func(_ http.ResponseWriter, r *http.Request) error {
		return fmt.Errorf("%w: there is no %s %s in this version of the protocol", wire.ErrNotFound, r.Method, r.URL.Path)
	}))
	mux.Handle("/", s.console.Handler())
	return s.logged(mux)
}

// pause is false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
