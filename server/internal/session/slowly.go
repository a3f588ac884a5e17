package session

import (
	"context"
	"io"

	"golang.org/x/time/rate"
)

// upMost is how much of an upload is taken at once.
const upMost = 16 << 10

// Slowly reads what a device sends at the bytes a second that limit gives, 0 for any; all that is read so from one device
// shares them. The device notices that its line is slow, no more. It is given back with the end of ctx.
func (s *Service) Slowly(ctx context.Context, device int64, limit func() float64, r io.Reader) io.Reader {
	l := s.lines.use(device)
	context.AfterFunc(ctx, func() { s.lines.drop(device, l) })
	return &slow{ctx, l.up, limit, r}
}

type slow struct {
	ctx   context.Context
	up    *rate.Limiter
	limit func() float64
	r     io.Reader
}

// Read implements io.Reader.
func (s *slow) Read(b []byte) (int, error) {
	limit := s.limit()
	if limit == 0 {
		return s.r.Read(b)
	}
	n, err := s.r.Read(b[:min(len(b), upMost)])
	s.up.SetLimit(rate.Limit(max(limit, RateMin)))
	if e := s.up.WaitN(s.ctx, n); e != nil && err == nil {
		err = e
	}
	return n, err
}
