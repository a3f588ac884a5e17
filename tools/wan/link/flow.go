package link

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// A segment is what flows take turns with. The last one of a flow has an end
// and no bytes.
type segment struct {
	bytes []byte
	end   error     // why the flow ended: io.EOF, or what the sender's side said
	due   time.Time // when it arrives
}

// A flow is one direction of one connection. Its bytes go from the sender's
// socket to waiting, over the line to onWay, and when they are due into the
// receiver's socket.
type flow struct {
	lane  *lane
	room  chan struct{} // something left waiting or onWay
	ready chan struct{} // something entered onWay

	// All of this is guarded by lane.mu.
	waiting      []segment
	waitingBytes int
	onWay        []segment
	onWayBytes   int
}

func newFlow(l *lane) *flow {
	return &flow{lane: l, room: make(chan struct{}, 1), ready: make(chan struct{}, 1)}
}

// fill reads from the sender until its end, which it passes on.
func (f *flow) fill(ctx context.Context, from net.Conn) error {
	for {
		b := make([]byte, f.lane.segment())
		n, err := from.Read(b)
		if n > 0 {
			if perr := f.push(ctx, segment{bytes: b[:n]}); perr != nil {
				return perr
			}
		}
		if err != nil {
			return f.push(ctx, segment{end: err})
		}
	}
}

// push waits for room before the line and puts s there.
func (f *flow) push(ctx context.Context, s segment) error {
	for !f.tryPush(s) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.room:
		}
	}
	f.lane.nudge()
	return nil
}

func (f *flow) tryPush(s segment) bool {
	l := f.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.end == nil && !l.roomLocked(f.waitingBytes, f.onWayBytes) {
		return false
	}
	f.waiting = append(f.waiting, s)
	f.waitingBytes += len(s.bytes)
	if len(f.waiting) == 1 || l.single {
		l.joinLocked(f)
	}
	return true
}

// takeLocked takes the next segment for the line.
func (f *flow) takeLocked() segment {
	s := f.waiting[0]
	f.waiting = f.waiting[1:]
	f.waitingBytes -= len(s.bytes)
	return s
}

// departLocked puts s on its way. Segments never overtake each other.
func (f *flow) departLocked(s segment) {
	if n := len(f.onWay); n > 0 {
		s.due = later(s.due, f.onWay[n-1].due)
	}
	f.onWay = append(f.onWay, s)
	f.onWayBytes += len(s.bytes)
	signal(f.ready)
	signal(f.room)
}

// drain writes to the receiver what is due, until the end of the flow. It
// returns nil if the sender ended in an orderly way.
func (f *flow) drain(ctx context.Context, to net.Conn) error {
	for {
		s, err := f.next(ctx)
		if err != nil {
			return err
		}
		switch {
		case errors.Is(s.end, io.EOF):
			return closeWrite(to)
		case s.end != nil:
			return s.end
		}
		if _, err := to.Write(s.bytes); err != nil {
			return err
		}
		f.arrived(s)
	}
}

// next waits for the next segment to be due. A segment that is due while the
// link is cut arrives when it is whole again.
func (f *flow) next(ctx context.Context) (segment, error) {
	for {
		f.lane.mu.Lock()
		if len(f.onWay) > 0 {
			s := f.onWay[0]
			f.onWay = f.onWay[1:]
			f.lane.mu.Unlock()
			if err := sleepUntil(ctx, s.due); err != nil {
				return s, err
			}
			return s, f.lane.gate.pass(ctx)
		}
		f.lane.mu.Unlock()
		select {
		case <-ctx.Done():
			return segment{}, ctx.Err()
		case <-f.ready:
		}
	}
}

// arrived takes s out of the account of what is on its way.
func (f *flow) arrived(s segment) {
	f.lane.mu.Lock()
	f.onWayBytes -= len(s.bytes)
	f.lane.mu.Unlock()
	signal(f.room)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func sleepUntil(ctx context.Context, t time.Time) error {
	wait := time.Until(t)
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
