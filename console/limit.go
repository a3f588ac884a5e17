package console

import (
	"sync"
	"time"
)

// Failed logins: so many at once from one address for one name, then one more every loginRefill.
const (
	loginBurst   = 5
	loginRefill  = 15 * time.Second
	limiterMax   = 10_000 // buckets kept
	addressBurst = 50     // failures from one address over all names
)

// limiter counts failed logins in leaky buckets. What it remembers is bounded; when full it forgets the emptiest.
type limiter struct {
	mu      sync.Mutex // guards buckets
	buckets map[string]bucket
	clock   func() time.Time
}

// bucket holds level failures as of at; one leaks out every loginRefill.
type bucket struct {
	level float64
	at    time.Time
}

func newLimiter() *limiter {
	return &limiter{buckets: map[string]bucket{}, clock: time.Now}
}

// take counts one attempt before it is made, so that attempts at the same time cannot slip through together.
// It returns how long to wait if there were too many; then nothing is counted.
func (l *limiter) take(key string, burst int) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.levelLocked(key)
	if over := b.level + 1 - float64(burst); over > 1e-9 {
		return time.Duration(over*float64(loginRefill)).Round(time.Second) + time.Second
	}
	if len(l.buckets) >= limiterMax {
		l.forgetLocked()
	}
	b.level++
	l.buckets[key] = b
	return 0
}

// forgive takes back an attempt that was not a wrong password.
func (l *limiter) forgive(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.levelLocked(key)
	b.level = max(0, b.level-1)
	l.buckets[key] = b
}

func (l *limiter) levelLocked(key string) bucket {
	now := l.clock()
	b := l.buckets[key]
	b.level = max(0, b.level-float64(now.Sub(b.at))/float64(loginRefill))
	b.at = now
	return b
}

// forgetLocked drops every empty bucket, and the emptiest if none is.
func (l *limiter) forgetLocked() {
	var least string
	low := -1.0
	for key := range l.buckets {
		b := l.levelLocked(key)
		if b.level == 0 {
			delete(l.buckets, key)
			continue
		}
		if low < 0 || b.level < low {
			least, low = key, b.level
		}
	}
	if len(l.buckets) >= limiterMax {
		delete(l.buckets, least)
	}
}
