package remote

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// count is what crossed the network: bytes on the wire, TLS included.
type count struct{ in, out atomic.Uint64 }

// Crossed returns how many bytes came in and went out on the connections of a class, TLS included.
func (c *Client) Crossed(class Class) (in, out uint64) {
	return c.counts[class].in.Load(), c.counts[class].out.Load()
}

func counted(d *net.Dialer, n *count) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &countedConn{Conn: conn, n: n}, nil
	}
}

type countedConn struct {
	net.Conn
	n *count
	// waited is how long the last Read took, in nanoseconds.
	waited atomic.Int64
}

func (c *countedConn) Read(b []byte) (int, error) {
	began := time.Now()
	n, err := c.Conn.Read(b)
	c.waited.Store(int64(time.Since(began)))
	c.n.in.Add(uint64(n))
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.n.out.Add(uint64(n))
	return n, err
}
