package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// Readiness is the document of /readyz.
type Readiness struct {
	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks"`
}

// Check is one thing that a server needs.
type Check struct {
	Name   string `json:"name"` // database, migrations, volumes
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

// readyTimeout bounds each check: who asks has little patience.
const readyTimeout = 2 * time.Second

// Ready says whether this server can serve, and why not.
func (s *Server) Ready(ctx context.Context) Readiness {
	r := Readiness{Ready: true}
	for _, c := range []struct {
		name  string
		check func(context.Context) error
	}{{"database", s.db.Ping}, {"migrations", s.db.Migrated}, {"volumes", s.volumesReady}} {
		ctx, cancel := context.WithTimeout(ctx, readyTimeout)
		err := c.check(ctx)
		cancel()
		check := Check{Name: c.name, OK: err == nil, Reason: reason(err)}
		r.Ready = r.Ready && check.OK
		r.Checks = append(r.Checks, check)
	}
	return r
}

// reason is for whoever asks, who may be anybody.
func reason(err error) string {
	f, isFault := errors.AsType[*postgres.Fault](err)
	switch {
	case err == nil:
		return ""
	case isFault:
		return f.Public()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer within " + readyTimeout.String()
	}
	return err.Error()
}

// volumesReady needs one place that answers, be it full: what is there can be read. That another is away is told among
// the volumes.
func (s *Server) volumesReady(ctx context.Context) error {
	volumes, err := s.content.Volumes(ctx)
	if err != nil {
		return err
	}
	problem := "there is none: add one with --volume"
	for _, v := range volumes {
		if v.Problem == "" || v.Full {
			return nil
		}
		problem = v.Problem
	}
	return fmt.Errorf("%w: no volume can be used: %s", wire.ErrUnavailable, problem)
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ready := s.Ready(r.Context())
	status := http.StatusOK
	if !ready.Ready {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "2")
	}
	reply(w, status, ready)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
