package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// An Endpoint is a device: looming with a state directory of its own.
type Endpoint struct {
	Programs Programs
	Name     string
	State    string
	// URL is where it reaches the server, and CA the file by which it knows it.
	URL, CA string
}

// Command is a looming command of this device.
func (e *Endpoint) Command(args ...string) *exec.Cmd {
	return exec.Command(e.Programs.path("looming"), append(args, "--state", e.State, "--output", "json")...)
}

// Enrolled says whether the device has been let in.
func (e *Endpoint) Enrolled() bool {
	_, err := os.Stat(filepath.Join(e.State, "cert.pem"))
	return err == nil
}

// Enroll lets the device in with a one-time token.
func (e *Endpoint) Enroll(ctx context.Context, s *Server) error {
	token, err := s.Token(ctx)
	if err != nil {
		return fmt.Errorf("make a token for %s: %w", e.Name, err)
	}
	_, err = Run(ctx, e.Command("enroll", e.URL, "--ca", e.CA, "--name", e.Name, "--token", token))
	return err
}

// Taken is what looming snapshot says.
type Taken struct {
	Snapshot    string
	Files, Dirs uint64
	Bytes       uint64
	BytesRead   uint64 `json:"bytes_read"`
	BytesSent   uint64 `json:"bytes_sent"`
	BytesOnWire uint64 `json:"bytes_on_wire"`
	Seconds     float64
	Unreadable  int64
}

// Snapshot centralizes a tree.
func (e *Endpoint) Snapshot(ctx context.Context, cvd, root string, args ...string) (Taken, error) {
	p, err := e.StartSnapshot(cvd, root, args...)
	if err != nil {
		return Taken{}, err
	}
	return EndSnapshot(ctx, p)
}

// StartSnapshot begins to centralize a tree.
func (e *Endpoint) StartSnapshot(cvd, root string, args ...string) (*Process, error) {
	return Start(e.Command(append([]string{"snapshot", "--cvd", cvd, "--root", root}, args...)...))
}

// EndSnapshot waits for a snapshot. One that is done in part gives what it did
// beside its error.
func EndSnapshot(ctx context.Context, p *Process) (t Taken, err error) {
	out, err := p.Wait(ctx)
	if part, ok := errors.AsType[*Ended](err); err != nil && (!ok || part.Code != 3) {
		return t, err
	}
	return t, errors.Join(err, json.Unmarshal(out, &t))
}

// Streaming is what looming stream and looming status say.
type Streaming struct {
	Snapshot      string
	Target        string
	Phase         string
	Message       string
	BytesDone     uint64 `json:"bytes_done"`
	BytesTotal    uint64 `json:"bytes_total"`
	FilesDone     uint64 `json:"files_done"`
	FilesTotal    uint64 `json:"files_total"`
	DemandBytes   uint64 `json:"demand_bytes"`
	PrefetchBytes uint64 `json:"prefetch_bytes"`
	DemandCount   uint64 `json:"demand_count"`
	Current       string
	Rate, ETA     float64
	Seconds       float64
	Crossed       uint64
	FromDisk      uint64 `json:"from_disk"`
}

// Stream begins to stream a desktop to target and returns when it is mounted. Unless args say otherwise all of it comes
// from the server: the machine that took the snapshot would find it on its own disk.
func (e *Endpoint) Stream(ctx context.Context, cvd, target string, args ...string) (*Process, error) {
	if !slices.Contains(args, "--reuse") {
		args = append(args, "--reuse", "none")
	}
	return e.show(ctx, target, append([]string{"stream", "--cvd", cvd, target}, args...)...)
}

// Mount shows a desktop at point and returns when it is mounted.
func (e *Endpoint) Mount(ctx context.Context, cvd, point string, args ...string) (*Process, error) {
	return e.show(ctx, point, append([]string{"mount", "--cvd", cvd, point}, args...)...)
}

func (e *Endpoint) show(ctx context.Context, dir string, args ...string) (*Process, error) {
	p, err := Start(e.Command(args...))
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !Mounted(dir) {
		select {
		case <-tick.C:
		case <-p.Ended():
			_, err := p.Wait(ctx) // a small desktop may be native already
			return p, err
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), p.Interrupt())
		}
	}
	return p, nil
}

// EndStream waits until a stream has ended.
func EndStream(ctx context.Context, p *Process) (s Streaming, err error) {
	out, err := p.Wait(ctx)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(out, &s)
}

// Status asks how far the stream to target is.
func (e *Endpoint) Status(ctx context.Context, target string) (Streaming, error) {
	out, err := Run(ctx, e.Command("status", target))
	if err != nil {
		return Streaming{}, err
	}
	var all []Streaming
	if err := json.Unmarshal(out, &all); err != nil || len(all) == 0 {
		return Streaming{}, errors.Join(err, fmt.Errorf("no status of %s", target))
	}
	return all[0], nil
}

// Work is the directory in which the backing directory of a target lies while
// it is streamed.
func Work(target string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".looming")
}
