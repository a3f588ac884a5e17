package link

import (
	"context"
	"net"
	"sync"
	"time"
)

// socketBuffer bounds what the kernel takes from a sender before the line
// sees it.
const socketBuffer = 256 << 10

// A passage is one connection over the link.
type passage struct {
	cancel context.CancelFunc

	mu    sync.Mutex
	ended bool
	ends  []net.Conn
}

type dialFunc func(context.Context) (net.Conn, error)

// carry takes one accepted connection over the link until both directions
// have ended, or one has failed, which resets both ends.
func (l *Link) carry(ctx context.Context, client net.Conn, dial dialFunc) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &passage{cancel: cancel}
	p.join(client)
	l.enter(p)
	defer l.leave(p)
	// The reset also ends the Reads and Writes that are under way.
	stop := context.AfterFunc(ctx, p.reset)
	p.run(ctx, l, client, dial)
	if stop() {
		p.close()
	} else {
		p.reset()
	}
}

// run moves bytes in both directions. What fails cancels the passage.
func (p *passage) run(ctx context.Context, l *Link, client net.Conn, dial dialFunc) {
	began, delay := time.Now(), l.roundTrip()
	up, down := newFlow(l.up), newFlow(l.down)
	var group sync.WaitGroup
	do := func(f func() error) {
		group.Go(func() {
			if f() != nil {
				p.cancel()
			}
		})
	}
	do(func() error {
		// The client may send when it has the answer to its SYN.
		if err := l.handshake(ctx, began.Add(delay)); err != nil {
			return err
		}
		return up.fill(ctx, client)
	})
	do(func() error {
		if err := l.handshake(ctx, began.Add(delay+delay/2)); err != nil {
			return err
		}
		server, err := dial(ctx)
		if err != nil {
			return err
		}
		p.join(server)
		do(func() error { return up.drain(ctx, server) })
		do(func() error { return down.fill(ctx, server) })
		return down.drain(ctx, client)
	})
	group.Wait()
}

// handshake waits until then, and for the link to be whole.
func (l *Link) handshake(ctx context.Context, then time.Time) error {
	if err := sleepUntil(ctx, then); err != nil {
		return err
	}
	return l.gate.pass(ctx)
}

func (l *Link) enter(p *passage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live[p] = struct{}{}
	l.opened++
}

func (l *Link) leave(p *passage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.live, p)
}

// join makes conn an end of the passage.
func (p *passage) join(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(socketBuffer)
		_ = tcp.SetWriteBuffer(socketBuffer)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends = append(p.ends, conn)
	if p.ended {
		abort(conn)
	}
}

// reset ends the passage as a lost connection.
func (p *passage) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, conn := range p.ends {
		abort(conn)
	}
}

func (p *passage) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.ends {
		conn.Close()
	}
}

func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

// closeWrite tells the receiver that there is no more to come.
func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return conn.Close()
}
