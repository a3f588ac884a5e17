package server

import (
	"context"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/server/internal/postgres"
)

// limitsEvery is how often each server process reads the limits: so long another's change takes to hold.
const limitsEvery = 3 * time.Second

// limits are the admins' limits, as this process knows them. Each process keeps them on its own: a device that fetches
// from several at once may have as many times its limit.
type limits struct {
	all atomic.Pointer[[]postgres.Limit] // nil before they were read
}

// of is the limit of a device at this moment.
func (l *limits) of(device int64, addr netip.Addr) postgres.Limit {
	all := l.all.Load()
	if all == nil {
		return postgres.Limit{}
	}
	return choose(*all, device, addr, time.Now())
}

// keepLimits reads the limits again and again.
func (s *Server) keepLimits(ctx context.Context) error {
	for {
		if err := s.readLimits(ctx); err != nil {
			return err
		}
		if !pause(ctx, limitsEvery) {
			return nil
		}
	}
}

func (s *Server) readLimits(ctx context.Context) error {
	all, err := s.db.Limits(ctx)
	if err == nil {
		s.limits.all.Store(&all)
	}
	return err
}

// choose gives the limit that holds for a device at an address and a time: the most specific, which is the device's own
// before a subnet's before everybody's, a smaller subnet's before a larger's, one for fewer hours before one for more,
// and of equals the lowest. None is the zero Limit.
func choose(all []postgres.Limit, device int64, addr netip.Addr, now time.Time) (best postgres.Limit) {
	for i := range all {
		l := &all[i]
		if concerns(l, device, addr) && at(l, now) && (best.ID == 0 || before(l, &best)) {
			best = *l
		}
	}
	return best
}

func concerns(l *postgres.Limit, device int64, addr netip.Addr) bool {
	switch {
	case l.DeviceID != 0:
		return l.DeviceID == device
	case l.Subnet.IsValid():
		return l.Subnet.Contains(addr.Unmap().WithZone(""))
	}
	return true
}

// at says whether a limit holds at a time.
func at(l *postgres.Limit, now time.Time) bool {
	now = now.UTC()
	day := now.Truncate(24 * time.Hour)
	clock, today := now.Sub(day), on(l, day)
	if l.Begins < l.Ends {
		return today && l.Begins <= clock && clock < l.Ends
	}
	return today && clock >= l.Begins || on(l, day.AddDate(0, 0, -1)) && clock < l.Ends
}

func on(l *postgres.Limit, day time.Time) bool { return l.Days>>day.Weekday()&1 == 1 }

// before says whether a limit is more specific than another.
func before(a, b *postgres.Limit) bool {
	if x, y := scope(a), scope(b); x != y {
		return x > y
	}
	if x, y := hours(a), hours(b); x != y {
		return x < y
	}
	return a.Download != 0 && (b.Download == 0 || a.Download < b.Download)
}

// scope is larger for what concerns fewer devices.
func scope(l *postgres.Limit) int {
	switch {
	case l.DeviceID != 0:
		return 1000
	case l.Subnet.IsValid():
		return 1 + l.Subnet.Bits()
	}
	return 0
}

// hours is for how long in a week a limit holds.
func hours(l *postgres.Limit) time.Duration {
	long := l.Ends - l.Begins
	if long <= 0 {
		long += 24 * time.Hour
	}
	return time.Duration(bits.OnesCount8(l.Days)) * long
}
