package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// maxJSON bounds the body of a request that is JSON, in bytes.
const maxJSON = 4 << 20

// handler answers a request, or says why not.
type handler func(w http.ResponseWriter, r *http.Request) error

// plain is a handler for anybody.
func (s *Server) plain(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// fail answers an error and logs what an admin should know. It is the one place where errors become answers.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody listens
	}
	p, path := wire.ProblemOf(err), clean(r.URL.Path, 1024)
	switch {
	case p.Status == http.StatusServiceUnavailable:
		s.log.Warn("request put off", "method", r.Method, "path", path, "from", clientHost(r), "error", err)
	case p.Status >= http.StatusInternalServerError:
		s.log.Error("request failed", "method", r.Method, "path", path, "from", clientHost(r), "error", err)
	default:
		s.log.Debug("request refused", "method", r.Method, "path", path, "from", clientHost(r), "error", err)
	}
	if f, ok := errors.AsType[*postgres.Fault](err); ok {
		p.Detail = f.Public()
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	if a, ok := w.(*answer); ok && a.status != 0 {
		panic(http.ErrAbortHandler) // a part is sent: the client must see that the rest is missing
	}
	wire.WriteProblem(w, p)
}

// decode reads a body that is one JSON document of bounded size.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	body := http.MaxBytesReader(w, r.Body, maxJSON)
	d := json.NewDecoder(body)
	if err := d.Decode(into); err != nil {
		return bodyError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the body goes on after the JSON document", wire.ErrInvalid)
	}
	return nil
}

// bodyError tells a body that is wrong from one that did not arrive.
func bodyError(err error) error {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fmt.Errorf("%w: the body has more than %d bytes", wire.ErrInvalid, tooLarge.Limit)
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return fmt.Errorf("%w: the body did not arrive: %w", wire.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: the body: %w", wire.ErrInvalid, err)
}

// reply answers with one JSON document.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
}

// respond is writeJSON at the end of a handler.
func respond(w http.ResponseWriter, v any) error {
	reply(w, http.StatusOK, v)
	return nil
}

// done answers that there is nothing to say.
func done(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// clientHost is the peer's address. Headers that a client could forge do not count.
func clientHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// logged wraps everything: it measures, logs, bounds how long a stalled peer may hold a connection, and survives
// panics.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		a := newAnswer(w)
		r.Body = newBody(r.Body, a.control)
		count := &counted{ReadCloser: r.Body}
		r.Body = count
		end := s.metrics.begin()
		aborted := false
		defer func() {
			end(r, a, count.n, time.Since(begun))
			s.access(r, a, count.n, time.Since(begun))
			if aborted {
				panic(http.ErrAbortHandler)
			}
		}()
		aborted = s.guarded(next, a, r)
	})
}

// guarded runs a handler; true means that the connection must be cut.
func (s *Server) guarded(next http.Handler, a *answer, r *http.Request) (abort bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			abort = true
			return
		}
		s.log.Error("panic in a request", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
		s.metrics.panics.Inc()
		if a.status != 0 || a.hijacked {
			abort = true
			return
		}
		wire.WriteProblem(a, wire.ErrInternal)
	}()
	next.ServeHTTP(a, r)
	return false
}

// access logs a request: what went well is of interest to whoever looks for something.
func (s *Server) access(r *http.Request, a *answer, in int64, took time.Duration) {
	level := slog.LevelDebug
	if a.code() >= http.StatusBadRequest {
		level = slog.LevelInfo
	}
	s.log.Log(r.Context(), level, "request", "method", r.Method, "path", clean(r.URL.Path, 1024), "status", a.code(), "from", clientHost(r), "who", a.who,
		"in", in, "out", a.bytes, "ms", took.Milliseconds())
}
