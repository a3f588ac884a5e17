package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/looming-project/looming/vfs/wire"
)

// metrics are the figures of this process, in a registry of its own.
type metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	bytesIn   prometheus.Counter
	bytesOut  prometheus.Counter
	inFlight  prometheus.Gauge
	panics    prometheus.Counter
	refusals  *prometheus.CounterVec
	unwritten *prometheus.CounterVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "looming_requests_total", Help: "Requests answered."},
			[]string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "looming_request_seconds", Help: "How long requests took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"route"}),
		bytesIn:  prometheus.NewCounter(prometheus.CounterOpts{Name: "looming_received_bytes_total", Help: "Bytes of request bodies."}),
		bytesOut: prometheus.NewCounter(prometheus.CounterOpts{Name: "looming_sent_bytes_total", Help: "Bytes of answers."}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "looming_requests_in_flight", Help: "Requests under way."}),
		panics:   prometheus.NewCounter(prometheus.CounterOpts{Name: "looming_panics_total", Help: "Requests that ended in a defect of the server."}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "looming_refusals_total", Help: "Devices and admins that were not let in."},
			[]string{"kind"}),
		unwritten: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "looming_refusals_unwritten_total", Help: "Of those, what is neither logged nor audited because one network had too many.",
		}, []string{"kind"}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.bytesIn, m.bytesOut, m.inFlight, m.panics, m.refusals, m.unwritten,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "looming_build_info", Help: "Always 1.",
			ConstLabels: prometheus.Labels{"version": s.version},
		}, func() float64 { return 1 }))
	m.registerPool(s)
	m.registerContent(s)
	return m
}

func (m *metrics) registerPool(s *Server) {
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "looming_database_" + name, Help: help}, value))
	}
	gauge("connections", "Connections to the database.", func() float64 { return float64(s.db.PoolStats().OpenConnections) })
	gauge("connections_in_use", "Connections that work.", func() float64 { return float64(s.db.PoolStats().InUse) })
	gauge("waits", "How often a request waited for a connection.", func() float64 { return float64(s.db.PoolStats().WaitCount) })
	gauge("wait_seconds", "How long requests waited for connections in all.", func() float64 { return s.db.PoolStats().WaitDuration.Seconds() })
}

// registerContent has the counters of the content service, read when they are asked for.
func (m *metrics) registerContent(s *Server) {
	counter := func(name, help string, value func() uint64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "looming_" + name + "_total", Help: help},
			func() float64 { return float64(value()) }))
	}
	counter("sessions", "Upload sessions begun.", func() uint64 { return s.content.Stats().SessionsBegun })
	counter("snapshots", "Snapshots committed.", func() uint64 { return s.content.Stats().SnapshotsCommitted })
	counter("commits_incomplete", "Commits that lacked chunks.", func() uint64 { return s.content.Stats().CommitsIncomplete })
	counter("packs", "Packs written.", func() uint64 { return s.content.Stats().PacksWritten })
	counter("uploaded_chunks", "Chunks stored.", func() uint64 { return s.content.Stats().UploadedChunks })
	counter("uploaded_bytes", "Bytes of frames stored.", func() uint64 { return s.content.Stats().UploadedBytes })
	counter("bad_frames", "Frames refused because they do not match their id.", func() uint64 { return s.content.Stats().BadFrames })
	counter("asked_chunks", "Ids that endpoints asked for before uploading.", func() uint64 { return s.content.Stats().HaveAsked })
	counter("present_chunks", "Of those, present already.", func() uint64 { return s.content.Stats().HavePresent })
	counter("fetched_chunks", "Chunks sent.", func() uint64 { return s.content.Stats().FetchedChunks })
	counter("fetched_bytes", "Bytes of frames sent.", func() uint64 { return s.content.Stats().FetchedBytes })
	counter("fetch_denied", "Chunks asked for that the device may not read.", func() uint64 { return s.content.Stats().FetchDenied })
	counter("damaged_found", "Stored chunks found damaged.", func() uint64 { return s.content.Stats().DamagedFound })
	counter("pack_reads", "Reads of packs.", func() uint64 { return s.content.Stats().PackReads })
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// begin counts a request in; what it returns counts it out.
func (m *metrics) begin() func(r *http.Request, a *answer, in int64, took time.Duration) {
	m.inFlight.Inc()
	return func(r *http.Request, a *answer, in int64, took time.Duration) {
		m.inFlight.Dec()
		route := routeOf(r)
		m.requests.WithLabelValues(route, strconv.Itoa(a.code())).Inc()
		if !a.hijacked {
			m.duration.WithLabelValues(route).Observe(took.Seconds())
		}
		m.bytesIn.Add(float64(in))
		m.bytesOut.Add(float64(a.bytes))
	}
}

// routeOf is the pattern that matched: paths have names in them, and there would be no end of labels.
func routeOf(r *http.Request) string {
	if r.Pattern == "" {
		return "none"
	}
	if !strings.Contains(r.Pattern, " ") {
		return "* " + r.Pattern
	}
	return r.Pattern
}

// watched lets this machine and admins see the metrics.
func (s *Server) watched(next http.Handler) http.Handler {
	return s.plain(func(w http.ResponseWriter, r *http.Request) error {
		if !isLoopback(clientHost(r)) {
			if _, err := s.bearer(r); err != nil {
				return fmt.Errorf("%w: metrics are for admins: send Authorization: Bearer TOKEN", wire.ErrDenied)
			}
		}
		next.ServeHTTP(w, r)
		return nil
	})
}
