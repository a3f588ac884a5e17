package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/looming-project/looming/prefetch"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
)

// Phases of a stream, as the console knows them.
const (
	phaseListing   = "listing"
	phaseStart     = "start"
	phaseFilling   = "filling"
	phaseFilled    = "filled"
	phaseVerifying = "verifying"
	phaseWaiting   = "waiting"
	phasePivoting  = "pivoting"
	phaseNative    = "native"
	phaseOffline   = "offline"
	phaseFailed    = "failed"
	phaseStopped   = "stopped"
	phaseMounted   = "mounted"
)

// status is what `looming status` and `looming stream` say of a stream. The JSON
// form is wire.Progress with four more fields.
type status struct {
	wire.Progress
	// Seconds since the stream began, Crossed the bytes that came over the network,
	// FromDisk those of files and trees that this disk held already.
	Seconds  float64 `json:"seconds"`
	Crossed  uint64  `json:"crossed"`
	FromDisk uint64  `json:"from_disk"`
	// Limit is the bytes a second that the server's policy allows, 0 where it sets no limit.
	Limit uint64 `json:"limit,omitempty"`
}

// summary is one line for a person.
func (s *status) summary() string {
	switch s.Phase {
	case phaseNative:
		return fmt.Sprintf("%s is native: %s of files, %s over the network, %s from this disk, %.1f s", s.Target,
			humanize.Bytes(s.BytesDone), humanize.Bytes(s.Crossed), humanize.Bytes(s.FromDisk), s.Seconds)
	case phaseStopped:
		return fmt.Sprintf("%s: stopped at %s of %s; the same command goes on", s.Target,
			humanize.Bytes(s.BytesDone), humanize.Bytes(s.BytesTotal))
	}
	line := fmt.Sprintf("%s: %s, %s of %s", s.Target, s.Phase, humanize.Bytes(s.BytesDone), humanize.Bytes(s.BytesTotal))
	if s.Limit > 0 {
		line += fmt.Sprintf(", limited by the server to %s/s", humanize.Bytes(s.Limit))
	}
	if s.Message != "" {
		line += ": " + s.Message
	}
	return line
}

// meter gathers how far a stream is.
type meter struct {
	d       *desktop
	started time.Time
	// pivotNow is closed when somebody asks for the pivot.
	pivotNow chan struct{}
	once     sync.Once

	mu   sync.Mutex
	p    wire.Progress
	dirs uint64
}

func newMeter(d *desktop, target string) *meter {
	now := time.Now()
	return &meter{d: d, started: now, pivotNow: make(chan struct{}), p: wire.Progress{
		Kind: "stream", CVD: d.CVD, Snapshot: d.Snapshot, Target: target, Phase: phaseListing,
		FilesTotal: d.Files, BytesTotal: d.Bytes, Started: now,
	}}
}

func (m *meter) phase(name, message string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Phase, m.p.Message, m.p.Rate, m.p.ETA = name, message, 0, 0
	if name == phaseNative {
		if m.p.StartTotal == 0 { // nothing was learnt before: all of it was the start set
			m.p.StartTotal = m.p.BytesTotal
		}
		m.p.StartDone = m.p.StartTotal
		m.p.BytesDone, m.p.FilesDone, m.p.ETA, m.p.Rate, m.p.Current = m.p.BytesTotal, m.p.FilesTotal, 0, 0, ""
	}
}

// listed counts a directory.
func (m *meter) listed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirs++
	if m.p.Phase == phaseListing || m.p.Phase == phaseOffline || m.p.Phase == phaseWaiting {
		m.p.Phase, m.p.Message = phaseListing, fmt.Sprintf("%s directories listed", humanize.Comma(int64(m.dirs)))
	}
}

// prefetched takes over what the runner says.
func (m *meter) prefetched(p prefetch.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := &m.p
	q.StartDone, q.StartTotal = p.StartBytes, p.StartBytesTotal
	q.BytesDone, q.FilesDone = p.Bytes, p.Files
	q.Current, q.Rate, q.ETA = p.Current, p.Rate, guess(p.ETA.Seconds())
	q.Message = ""
	switch {
	case p.State == prefetch.Waiting:
		q.Phase = phaseOffline
		if p.Err != nil {
			q.Message = p.Err.Error()
		}
		if errors.Is(p.Err, prefetch.ErrBlocked) {
			q.Phase = phaseWaiting
		}
		q.Rate, q.ETA = 0, 0
	case p.Stage == prefetch.StartSetStage && p.StartFilesTotal > 0:
		q.Phase = phaseStart
	default:
		q.Phase = phaseFilling
	}
}

// guess is a time left as far as it says something: not less than a second, nor more than two days.
func guess(seconds float64) float64 {
	if seconds < 1 || seconds > 48*3600 {
		return 0
	}
	return seconds
}

// served are the phases in which a read may find the server out of reach.
var served = map[string]bool{phaseListing: true, phaseStart: true, phaseFilling: true, phaseMounted: true}

// wire is the report for the console.
func (m *meter) wire() wire.Progress {
	s, misses, offline := m.d.f.Stats(), m.d.f.Misses(), m.d.f.Offline()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.DemandBytes, m.p.DemandCount, m.p.PrefetchBytes = s.DemandBytes, s.DemandCount, s.BulkBytes
	p := m.p
	if offline != nil && served[p.Phase] {
		p.Phase, p.Message = phaseOffline, offline.Error()
	}
	p.Misses = make([]wire.Miss, len(misses))
	for i, x := range misses {
		p.Misses[i] = wire.Miss{Path: x.Path, Bytes: x.Bytes, WaitMS: float64(x.Wait) / 1e6, At: x.At}
	}
	return p
}

func (m *meter) status() status {
	s := status{
		Progress: m.wire(), Seconds: time.Since(m.started).Seconds(), FromDisk: m.d.f.Stats().NearBytes,
		Limit: uint64(m.d.client.Limit()),
	}
	for _, c := range []remote.Class{remote.Demand, remote.Ahead, remote.Bulk} {
		in, _ := m.d.client.Crossed(c)
		s.Crossed += in
	}
	return s
}

// run shows progress four times a second until ctx ends.
func (m *meter) run(ctx context.Context, show func(status)) error {
	return every(ctx, 250*time.Millisecond, func() { show(m.status()) })
}

// tell reports to the console, until ctx ends; a report that is lost is not missed.
func (m *meter) tell(ctx context.Context) error {
	return every(ctx, 500*time.Millisecond, func() {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_ = m.d.client.Progress(ctx, m.wire())
	})
}

func every(ctx context.Context, d time.Duration, do func()) error {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			do()
		}
	}
}

// pivot asks a stream that stays mounted to pivot.
func (m *meter) pivot() { m.once.Do(func() { close(m.pivotNow) }) }
