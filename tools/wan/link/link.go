package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options says what a line is like. The zero value is a line without delay
// and of unlimited rate, which can still be cut and counts bytes.
type Options struct {
	Up     Rate          // from the clients to the server
	Down   Rate          // from the server to the clients
	Delay  time.Duration // the round trip, half in each direction
	Jitter time.Duration // up to so much more for each segment, in each direction
	Buffer int           // bytes that may wait in each direction; 0 is two round trips at the rate
	Loss   float64       // the part of segments that is lost once, and comes a round trip later
	Single bool          // one queue for all connections in each direction, instead of one for each
}

// A Link carries connections from its own address to another one.
type Link struct {
	to       string
	addr     net.Addr
	up, down *lane
	gate     gate // shut while the link is cut

	mu       sync.Mutex
	delay    time.Duration
	listener net.Listener // nil while the link refuses connections
	refuses  bool
	closed   bool
	live     map[*passage]struct{}
	opened   int64
}

// Stats is what has crossed a link.
type Stats struct {
	Up, Down int64 // bytes of payload
	Open     int   // connections at this moment
	Opened   int64 // connections ever
}

// Listen opens a link to the TCP address to, at the address listen (port 0
// picks one). It carries nothing until Run is called.
func Listen(listen, to string, o Options) (*Link, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("open the near end of the link: %w", err)
	}
	l := newLink(to, o)
	l.listener = listener
	l.addr = listener.Addr()
	return l, nil
}

func newLink(to string, o Options) *Link {
	l := &Link{to: to, delay: o.Delay, live: make(map[*passage]struct{})}
	l.up = newLane(&l.gate, o.Up, o)
	l.down = newLane(&l.gate, o.Down, o)
	return l
}

// Addr is where clients connect.
func (l *Link) Addr() net.Addr { return l.addr }

// Run carries connections until ctx is done, resets those that are open then,
// and closes the link. It returns nil if it was ctx that ended it. A link runs
// once.
func (l *Link) Run(ctx context.Context) error {
	defer l.close()
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	group.Go(func() error { l.up.run(ctx); return nil })
	group.Go(func() error { l.down.run(ctx); return nil })
	group.Go(func() error { return l.accept(ctx, group) })
	return group.Wait()
}

func (l *Link) accept(ctx context.Context, group *errgroup.Group) error {
	for {
		listener, err := l.listening(ctx)
		if err != nil {
			return nil
		}
		conn, err := listener.Accept()
		switch {
		case err == nil:
			group.Go(func() error { l.carry(ctx, conn, l.dial); return nil })
		case errors.Is(err, net.ErrClosed):
			// cut, or the end: listening tells which
		default:
			return fmt.Errorf("accept on the link at %v: %w", l.addr, err)
		}
	}
}

// listening waits until the link does not refuse, and gives its listener.
func (l *Link) listening(ctx context.Context) (net.Listener, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l.mu.Lock()
		listener := l.listener
		l.mu.Unlock()
		if listener != nil {
			return listener, nil
		}
		if err := l.gate.pass(ctx); err != nil {
			return nil, err
		}
	}
}

func (l *Link) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", l.to)
}

// SetRate changes the rates of a link, at any time.
func (l *Link) SetRate(up, down Rate) {
	l.up.setRate(up)
	l.down.setRate(down)
}

// SetDelay changes the round trip of a link, and its jitter, for what is sent from now on.
func (l *Link) SetDelay(delay, jitter time.Duration) {
	l.mu.Lock()
	l.delay = delay
	l.mu.Unlock()
	l.up.setDelay(delay/2, jitter)
	l.down.setDelay(delay/2, jitter)
}

// SetLoss changes the part of segments that is lost once.
func (l *Link) SetLoss(part float64) {
	l.up.setLoss(part)
	l.down.setLoss(part)
}

func (l *Link) roundTrip() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.delay
}

// Stats says what has crossed the link so far.
func (l *Link) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Up: l.up.moved.Load(), Down: l.down.moved.Load(), Open: len(l.live), Opened: l.opened}
}

func (l *Link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.closeListenerLocked()
}

func (l *Link) closeListenerLocked() {
	if l.listener != nil {
		l.listener.Close()
		l.listener = nil
	}
}
