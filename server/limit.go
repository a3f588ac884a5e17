package server

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
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

// network is what one party has: an IPv4 address, or a /64 of IPv6.
func network(host string) string {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return prefix.String()
}

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
