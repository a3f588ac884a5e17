package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/looming-project/looming/server/internal/pgrun"
	"github.com/looming-project/looming/vfs/durable"
)

// ServeOptions are those of a server with everything around it.
type ServeOptions struct {
	Options
	// Data is the server's own directory. One server has it at a time.
	Data string
	// Listen is the address to serve at.
	Listen string
	// Ready, if not nil, is called once it serves.
	Ready func(Address)

	existing bool // Data must be a server's already
}

// Address is what endpoints need to find and to know a server.
type Address struct {
	URL string `json:"url"`
	// CAFingerprint is the SHA-256 of the CA's certificate, in hexadecimal.
	CAFingerprint string `json:"ca_fingerprint"`
}

// The patience of a clean shutdown, after which requests are cut off.
const drain = 30 * time.Second

// Serve runs a server in its data directory until ctx ends, then drains it. Without a database it runs a private
// Postgres in Data/postgres; while there is no volume, it keeps packs in Data/volume. The first start makes an admin.
func Serve(ctx context.Context, o ServeOptions) error {
	return o.within(ctx, func(ctx context.Context, o ServeOptions) error { return o.serve(ctx) })
}

// within runs work with the data directory locked and a database that is there.
func (o ServeOptions) within(ctx context.Context, work func(context.Context, ServeOptions) error) error {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if err := o.check(); err != nil {
		return err
	}
	data, err := filepath.Abs(o.Data)
	if err != nil {
		return err
	}
	o.Data = data
	if err := o.there(); err != nil {
		return err
	}
	// Others may pass through, because Postgres' user must, but not look: what is secret in here is 0600 besides.
	if err := durable.MkdirAll(o.Data, 0o711); err != nil {
		return fmt.Errorf("the data directory: %w", err)
	}
	unlock, err := lock(filepath.Join(o.Data, lockFile))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := durable.CleanTemp(o.Data); err != nil {
		return fmt.Errorf("the data directory: %w", err)
	}
	if len(o.Volumes) == 0 {
		o.firstVolume = filepath.Join(o.Data, "volume")
	}
	if o.Database != "" {
		return work(ctx, o)
	}
	return o.withPostgres(ctx, work)
}

// withPostgres runs work beside a private Postgres, which stops last.
func (o ServeOptions) withPostgres(ctx context.Context, work func(context.Context, ServeOptions) error) error {
	pgCtx, stopPostgres := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPostgres()
	ctx, stopWork := context.WithCancel(ctx)
	defer stopWork()
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { // ends with pgCtx, and is waited for
		ended <- pgrun.Run(pgCtx, pgrun.Options{Dir: filepath.Join(o.Data, "postgres"), Log: o.Log}, func(dsn string) { ready <- dsn })
		stopWork()
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("start the database: %w", err)
	case <-ctx.Done():
		stopPostgres()
		return <-ended
	case o.Database = <-ready:
	}
	err := work(ctx, o)
	stopPostgres()
	return errors.Join(err, <-ended)
}

// serve opens the server on its database and answers until ctx ends.
func (o ServeOptions) serve(ctx context.Context) error {
	s, err := Open(ctx, o.withNames())
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("start the server: %w", err)
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("listen at %s: %w", o.Listen, err), s.Close())
	}
	at := l.Addr().(*net.TCPAddr)
	url := "https://" + reachable(at)
	if len(o.Names) > 0 {
		s.outside = "https://" + net.JoinHostPort(o.Names[0], fmt.Sprint(at.Port))
	}
	if err := s.firstStart(ctx, o.Data, url); err != nil {
		return errors.Join(err, l.Close(), s.Close())
	}
	o.Log.Info("serving", "url", url, "names", s.cert.Names(), "version", s.version)
	if o.Ready != nil {
		sum := s.ca.Fingerprint()
		o.Ready(Address{url, hex.EncodeToString(sum[:])})
	}
	return errors.Join(s.answerAt(ctx, l), s.Close())
}

// withNames adds the host to listen at to those in the certificate.
func (o ServeOptions) withNames() Options {
	opts := o.Options
	if host, _, err := net.SplitHostPort(o.Listen); err == nil && host != "" {
		if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
			opts.Names = append([]string{host}, opts.Names...)
		}
	}
	return opts
}

// reachable is the address by which this machine's own programs reach the server.
func reachable(a *net.TCPAddr) string {
	host := a.IP.String()
	if a.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, fmt.Sprint(a.Port))
}

// answerAt serves connections of l until ctx ends; then it takes no new ones, finishes what is under way, and stops
// what Run does.
func (s *Server) answerAt(ctx context.Context, l net.Listener) error {
	h := s.httpServer()
	runCtx, stopRun := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRun()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := h.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve at %s: %w", l.Addr(), err)
		}
		return nil
	})
	g.Go(func() error { return s.Run(runCtx) })
	g.Go(func() error {
		<-gctx.Done()
		s.log.Info("shutting down: finishing what is under way")
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		stopRun() // the pages of the console are let go, or they would be waited for
		if err := h.Shutdown(patience); err != nil {
			s.log.Warn("cutting off what is still under way", "after", drain)
			return h.Close()
		}
		return nil
	})
	err := g.Wait()
	s.log.Info("stopped serving", "url", "https://"+l.Addr().String())
	return err
}

// httpServer has timeouts for strangers that say nothing; what a peer may stall in the middle is bounded by answer.
func (s *Server) httpServer() *http.Server {
	var only http.Protocols
	only.SetHTTP1(true)
	return &http.Server{
		Handler:           s.Handler(),
		TLSConfig:         s.cert.TLS(s.claims.claimed),
		Protocols:         &only,
		ReadHeaderTimeout: 20 * time.Second, // the handshake included
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnState:         s.connState,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelInfo), // handshakes that failed, mostly
	}
}
