package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/session"
	"github.com/looming-project/looming/vfs/wire"
)

// Limit is a limit as admins see it.
type Limit struct {
	ID     int64  `json:"id,omitempty"`
	Device string `json:"device,omitempty"`
	Subnet string `json:"subnet,omitempty"` // neither: everybody
	// Days are the days on which it begins, all if there are none: sun, mon, tue, wed, thu, fri, sat.
	Days []string `json:"days,omitempty"`
	// From and To are times of the day in UTC, as 08:00; without them it is the whole day.
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	Download int64  `json:"download"`
	Upload   int64  `json:"upload"`
	Demand   bool   `json:"demand"`
}

var days = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// The least that can be set, in bytes a second: what is slower looks like a peer that has gone, and what somebody waits for
// would not come while they do.
const (
	limitMin  = session.RateMin
	demandMin = 64 << 10
)

// enough says whether the limit leaves enough for transfers to go on.
func (l *Limit) enough() error {
	for _, rate := range []int64{l.Download, l.Upload} {
		if rate < 0 {
			return fmt.Errorf("%w: a limit is in bytes a second, 0 for none", wire.ErrInvalid)
		}
		if rate > 0 && rate < limitMin {
			return fmt.Errorf("%w: a limit of %d bytes a second: want 0 for none, or at least %d (16KiB)", wire.ErrInvalid, rate, limitMin)
		}
	}
	if l.Demand && l.Download > 0 && l.Download < demandMin {
		return fmt.Errorf("%w: a limit of %d bytes a second for what somebody waits for: want 0 for none, or at least %d (64KiB)",
			wire.ErrInvalid, l.Download, demandMin)
	}
	return nil
}

// timeOfDay is how times of the day are written.
const timeOfDay = "15:04"

// row is the limit as it is kept.
func (l *Limit) row() (r postgres.Limit, err error) {
	r = postgres.Limit{Device: l.Device, Download: l.Download, Upload: l.Upload, Demand: l.Demand}
	if l.Device != "" && l.Subnet != "" {
		return r, fmt.Errorf("%w: a limit is for a device or for a subnet", wire.ErrInvalid)
	}
	if err := l.enough(); err != nil {
		return r, err
	}
	if l.Subnet != "" {
		p, err := netip.ParsePrefix(l.Subnet)
		if err != nil {
			return r, fmt.Errorf("%w: the subnet %q: want an address and a length, such as 10.1.0.0/16", wire.ErrInvalid, clean(l.Subnet, 100))
		}
		r.Subnet = p.Masked()
	}
	for _, d := range l.Days {
		i := slices.Index(days, d)
		if i < 0 {
			return r, fmt.Errorf("%w: the day %q: want %q", wire.ErrInvalid, clean(d, 100), days)
		}
		r.Days |= 1 << i
	}
	if len(l.Days) == 0 {
		r.Days = 1<<len(days) - 1
	}
	if l.From == "" && l.To == "" {
		return r, nil
	}
	if r.Begins, err = timeOf(l.From); err == nil {
		r.Ends, err = timeOf(l.To)
	}
	return r, err
}

func timeOf(s string) (time.Duration, error) {
	t, err := time.Parse(timeOfDay, s)
	if err != nil {
		return 0, fmt.Errorf("%w: the time %q: want hours and minutes, such as 08:00 (UTC), for the begin and the end", wire.ErrInvalid, clean(s, 100))
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// shown is a limit for people.
func shown(r postgres.Limit) Limit {
	l := Limit{ID: r.ID, Device: r.Device, Download: r.Download, Upload: r.Upload, Demand: r.Demand}
	if r.Subnet.IsValid() {
		l.Subnet = r.Subnet.String()
	}
	for i, d := range days {
		if r.Days>>i&1 == 1 {
			l.Days = append(l.Days, d)
		}
	}
	if r.Begins != r.Ends {
		midnight := time.Time{}
		l.From, l.To = midnight.Add(r.Begins).Format(timeOfDay), midnight.Add(r.Ends).Format(timeOfDay)
	}
	return l
}

func (s *Server) adminLimits(w http.ResponseWriter, r *http.Request, _ string) error {
	list, err := s.db.Limits(r.Context())
	if err != nil {
		return err
	}
	p := Page[Limit]{Items: []Limit{}, Total: int64(len(list)), Limit: len(list)}
	for i := range list {
		p.Items = append(p.Items, shown(list[i]))
	}
	return respond(w, p)
}

func (s *Server) adminSetLimit(w http.ResponseWriter, r *http.Request, admin string) error {
	var body Limit
	if err := decode(w, r, &body); err != nil {
		return err
	}
	row, err := body.row()
	if err != nil {
		return err
	}
	if row, err = s.db.SetLimit(r.Context(), row); err != nil {
		return err
	}
	s.did(r, admin, "set limit", strconv.FormatInt(row.ID, 10))
	if err := s.readLimits(r.Context()); err != nil {
		return err
	}
	return respond(w, shown(row))
}

func (s *Server) adminRemoveLimit(w http.ResponseWriter, r *http.Request, admin string) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: the id of a limit is a number", wire.ErrInvalid)
	}
	if err := s.db.RemoveLimit(r.Context(), id); err != nil {
		return err
	}
	s.did(r, admin, "remove limit", strconv.FormatInt(id, 10))
	if err := s.readLimits(r.Context()); err != nil {
		return err
	}
	return done(w)
}
