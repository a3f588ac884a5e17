package browser_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// link carries TCP to a server and can be cut, as a cable can.
type link struct {
	to string
	l  net.Listener

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{to: to, l: l, conns: map[net.Conn]bool{}}
	k.wg.Go(k.accept)
	t.Cleanup(func() {
		l.Close()
		k.cut()
		k.wg.Wait()
	})
	return k
}

func (k *link) accept() {
	for {
		c, err := k.l.Accept()
		if err != nil {
			return
		}
		k.wg.Go(func() { k.carry(c) })
	}
}

func (k *link) carry(c net.Conn) {
	defer c.Close()
	var d net.Dialer
	s, err := d.DialContext(context.Background(), "tcp", k.to)
	if err != nil {
		return
	}
	defer s.Close()
	if !k.add(c, s) {
		return
	}
	var both sync.WaitGroup
	for _, p := range [][2]net.Conn{{c, s}, {s, c}} {
		both.Go(func() {
			io.Copy(p[0], p[1])
			c.Close()
			s.Close()
		})
	}
	both.Wait()
}

func (k *link) add(cs ...net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down {
		return false
	}
	for _, c := range cs {
		k.conns[c] = true
	}
	return true
}

// cut breaks every connection and refuses new ones until mend.
func (k *link) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = true
	for c := range k.conns {
		c.Close()
	}
	clear(k.conns)
}

func (k *link) mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = false
}
