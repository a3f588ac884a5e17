package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// socketName is where, in a stream's work directory, its process answers the
// other commands of this machine.
const socketName = "control"

// noteEvery is how often it is noted how far a stream is.
const noteEvery = 10 * time.Second

// control answers `looming status` and `looming pivot` until ctx ends.
func control(ctx context.Context, work string, m *meter) error {
	l, err := listen(work)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(m.status()) // the other side is gone if this fails
	})
	mux.HandleFunc("POST /pivot", func(w http.ResponseWriter, _ *http.Request) {
		m.pivot()
		w.WriteHeader(http.StatusAccepted)
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	noting, end := context.WithCancel(ctx)
	var noted sync.WaitGroup
	noted.Go(func() { _ = every(noting, noteEvery, func() { m.keep(work) }) })
	defer func() { end(); noted.Wait(); m.keep(work) }()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func listen(work string) (net.Listener, error) {
	if err := os.Remove(filepath.Join(work, socketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	path, done, err := socket(work)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the work directory may be gone by then, and its descriptor is
	return l, os.Chmod(filepath.Join(work, socketName), 0o600)
}

// ask sends a request to the process that streams with the work directory.
func ask(ctx context.Context, work, method, what string) ([]byte, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, done, err := socket(work)
		if err != nil {
			return nil, err
		}
		defer done()
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://looming"+what, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, 1<<20))
}
