package server

import (
	"crypto/sha256"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// Enrolments: many devices may stand behind one address, and each asks again every few seconds while it waits.
const (
	enrolRate  = 10 // a second, from one address
	enrolBurst = 100
	limiterMax = 10_000 // addresses remembered
)

// limiter bounds how often an address may ask.
type limiter struct {
	every rate.Limit // a second
	burst int

	mu  sync.Mutex // guards all
	all map[string]*rate.Limiter
}

func newLimiter() *limiter { return limiterOf(enrolRate, enrolBurst) }

func limiterOf(every rate.Limit, burst int) *limiter {
	return &limiter{every: every, burst: burst, all: map[string]*rate.Limiter{}}
}

// take counts one request; it says how long to wait if there were too many.
func (l *limiter) take(host string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := network(host)
	lim, ok := l.all[key]
	if !ok {
		if len(l.all) >= limiterMax {
			clear(l.all)
		}
		lim = rate.NewLimiter(l.every, l.burst)
		l.all[key] = lim
	}
	if lim.Allow() {
		return 0
	}
	return time.Second
}

// Reports of progress: what comes faster is not kept, because nobody can read it.
const (
	reportEvery = 200 * time.Millisecond // of one piece of work, as long as its phase stays
	reportRate  = 20                     // a second, from one device
	reportBurst = 40
)

// reports bounds how often a device's progress is written down.
type reports struct {
	rates *limiter

	mu   sync.Mutex // guards last
	last map[reportKey]report
}

type reportKey struct {
	device int64
	what   [32]byte // hash of kind and target
}

type report struct {
	at    time.Time
	phase [32]byte // hash
}

func newReports() *reports {
	return &reports{rates: limiterOf(reportRate, reportBurst), last: map[reportKey]report{}}
}

// due says whether a report is to be kept. One that tells of a new phase may be the last, so it does not wait.
func (m *reports) due(device int64, p *wire.Progress, now time.Time) bool {
	if m.rates.take(strconv.FormatInt(device, 10)) > 0 {
		return false
	}
	key := reportKey{device, sha256.Sum256([]byte(p.Kind + "\x00" + p.Target))}
	phase := sha256.Sum256([]byte(p.Phase))
	m.mu.Lock()
	defer m.mu.Unlock()
	if was, ok := m.last[key]; ok && was.phase == phase && now.Sub(was.at) < reportEvery {
		return false
	}
	if len(m.last) >= limiterMax {
		clear(m.last)
	}
	m.last[key] = report{now, phase}
	return true
}

// network is what one party has.
func network(host string) string { return postgres.Network(host) }

// sightings remembers when it was last written down that a device is there.
type sightings struct {
	mu   sync.Mutex // guards last
	last map[int64]time.Time
}

func newSightings() *sightings { return &sightings{last: map[int64]time.Time{}} }

func (s *sightings) due(id int64, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last[id]) < seenEvery {
		return false
	}
	if len(s.last) >= limiterMax {
		clear(s.last)
	}
	s.last[id] = now
	return true
}
