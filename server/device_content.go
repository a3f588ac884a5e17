package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

type deviceKey struct{}

func withDevice(ctx context.Context, d postgres.Device) context.Context {
	return context.WithValue(ctx, deviceKey{}, d)
}

func deviceIn(ctx context.Context) postgres.Device {
	d, _ := ctx.Value(deviceKey{}).(postgres.Device)
	return d
}

// contentRoutes has the bulk API of devices behind the same door as the rest.
func (s *Server) contentRoutes(mux *http.ServeMux) {
	t := &transfer{
		content: s.content,
		limits:  &s.limits,
		device:  func(ctx context.Context) int64 { return deviceIn(ctx).ID },
		refuse: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, wire.ErrDenied) {
				s.refuse(r, "device", deviceIn(r.Context()).Name, err)
			}
			s.fail(w, r, err)
		},
	}
	inner := http.NewServeMux()
	t.routes(inner)
	h := s.device(func(w http.ResponseWriter, r *http.Request, d postgres.Device) error {
		known := r.WithContext(withDevice(r.Context(), d))
		defer func() { r.Pattern = known.Pattern }() // for the metrics
		inner.ServeHTTP(w, known)
		return nil
	})
	for _, path := range []string{"/v1/chunks", "/v1/sessions", "/v1/sessions/"} {
		mux.Handle(path, h)
	}
}
