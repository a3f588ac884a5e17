package link

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// These tests run the line on a synthetic clock, over pipes without buffers of
// their own, so they state times exactly.

// grain is the time of a segment and a bit.
const grain = 2 * time.Millisecond

// pipe is a net.Pipe whose ends can be half closed.
type pipe struct {
	net.Conn
	end *io.PipeWriter
	in  *io.PipeReader
}

func newPipe() (near, far *pipe) {
	a, b := net.Pipe()
	ar, aw := io.Pipe()
	br, bw := io.Pipe()
	return &pipe{Conn: a, end: bw, in: ar}, &pipe{Conn: b, end: aw, in: br}
}

func (p *pipe) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p *pipe) Write(b []byte) (int, error) { return p.end.Write(b) }
func (p *pipe) CloseWrite() error           { return p.end.Close() }
func (p *pipe) Close() error {
	p.end.CloseWithError(net.ErrClosed)
	p.in.CloseWithError(net.ErrClosed)
	return p.Conn.Close()
}

// A testLine is a link in a bubble: open gives both ends of a new connection.
type testLine struct {
	*Link
	t   *testing.T
	ctx context.Context
	wg  sync.WaitGroup
}

// onLine runs f with a link on a synthetic clock. The bubble fails the test if
// a goroutine of the link is left.
func onLine(t *testing.T, o Options, f func(*testLine)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := &testLine{Link: newLink("", o), t: t, ctx: ctx}
		l.wg.Go(func() { l.up.run(ctx) })
		l.wg.Go(func() { l.down.run(ctx) })
		f(l)
		cancel()
		l.wg.Wait()
	})
}

// open starts a connection and gives its client's end at once, and the
// server's end through the channel when the server would accept it.
func (l *testLine) open() (client net.Conn, server <-chan net.Conn) {
	near, inner := newPipe()
	accepted := make(chan net.Conn, 1)
	l.wg.Go(func() {
		l.carry(l.ctx, inner, func(context.Context) (net.Conn, error) {
			a, b := newPipe()
			accepted <- b
			return a, nil
		})
	})
	return near, accepted
}

func payload(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func within(t *testing.T, what string, got, low, high time.Duration) {
	t.Helper()
	if got < low || got > high {
		t.Errorf("%s took %v, must take %v to %v", what, got, low, high)
	}
}

func TestRateAndDelay(t *testing.T) {
	o := Options{Up: 8 * Mbit, Down: 16 * Mbit, Delay: 50 * time.Millisecond}
	onLine(t, o, func(l *testLine) {
		began := time.Now()
		client, accepted := l.open()
		server := <-accepted
		within(t, "connecting", time.Since(began), 75*time.Millisecond, 75*time.Millisecond)
		for _, way := range []struct {
			name     string
			from, to net.Conn
			ideal    time.Duration
		}{
			{"a megabyte up", client, server, time.Second},
			{"a megabyte down", server, client, time.Second / 2},
		} {
			sent := payload(1_000_000)
			began := time.Now()
			go way.from.Write(sent)
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(way.to, got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, sent) {
				t.Errorf("%s arrived changed", way.name)
			}
			ideal := way.ideal + 25*time.Millisecond
			within(t, way.name, time.Since(began), ideal-grain, ideal+grain)
		}
		if s := l.Stats(); s.Up != 1_000_000 || s.Down != 1_000_000 || s.Open != 1 {
			t.Errorf("Stats() = %+v, must count a megabyte in each direction on one connection", s)
		}
		client.Close()
		server.Close()
	})
}

// The line is shared: four connections together get its rate, and each its
// quarter.
func TestConnectionsShareTheRate(t *testing.T) {
	onLine(t, Options{Down: 8 * Mbit, Delay: 20 * time.Millisecond}, func(l *testLine) {
		const each = 250_000
		var got sync.WaitGroup
		began := time.Now()
		for range 4 {
			client, accepted := l.open()
			server := <-accepted
			began = time.Now()
			go server.Write(payload(each))
			got.Go(func() {
				if _, err := io.ReadFull(client, make([]byte, each)); err != nil {
					t.Error(err)
				}
				client.Close()
				server.Close()
			})
		}
		got.Wait()
		// The first three began while the fourth connected.
		within(t, "four quarters of a megabyte", time.Since(began), 850*time.Millisecond, 1050*time.Millisecond)
	})
}

// A request beside bulk transfers waits for one segment of each, not for what
// they have queued.
func TestSmallRequestPassesBulk(t *testing.T) {
	o := Options{Up: 20 * Mbit, Down: 20 * Mbit, Delay: 50 * time.Millisecond}
	onLine(t, o, func(l *testLine) {
		const bulks = 8
		for range bulks {
			client, accepted := l.open()
			server := <-accepted
			go io.Copy(io.Discard, client)
			go server.Write(payload(8_000_000))
		}
		client, accepted := l.open()
		server := <-accepted
		time.Sleep(2 * time.Second)
		began := time.Now()
		go func() {
			io.ReadFull(server, make([]byte, 300))
			server.Write(payload(4096))
		}()
		client.Write(payload(300))
		if _, err := io.ReadFull(client, make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
		// 4096 bytes are two turns, and each turn passes eight segments of a
		// millisecond.
		most := o.Delay + 2*(bulks+1)*time.Millisecond + 2*grain
		within(t, "a request beside bulk", time.Since(began), o.Delay, most)
	})
}

// Where all have one queue, the same request waits for what bulk transfers have
// queued.
func TestSingleQueue(t *testing.T) {
	o := Options{Up: 20 * Mbit, Down: 20 * Mbit, Delay: 50 * time.Millisecond, Single: true}
	onLine(t, o, func(l *testLine) {
		client, accepted := l.open()
		server := <-accepted
		go io.Copy(io.Discard, client)
		go server.Write(payload(20_000_000))
		client, accepted = l.open()
		server = <-accepted
		time.Sleep(2 * time.Second)
		began := time.Now()
		go server.Write(payload(1000))
		if _, err := io.ReadFull(client, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		queue := 2 * o.Delay
		within(t, "a byte behind a full queue", time.Since(began), queue, queue+o.Delay)
	})
}

// What is lost comes a round trip later, and everything in order.
func TestLossKeepsOrder(t *testing.T) {
	o := Options{Up: 50 * Mbit, Delay: 10 * time.Millisecond}
	onLine(t, o, func(l *testLine) {
		client, accepted := l.open()
		server := <-accepted
		l.SetLoss(0.05)
		sent := payload(500_000)
		go func() {
			client.Write(sent)
			client.(*pipe).CloseWrite()
		}()
		began := time.Now()
		got, err := io.ReadAll(server)
		if err != nil {
			t.Fatal(err)
		}
		if sha256.Sum256(got) != sha256.Sum256(sent) {
			t.Errorf("%d bytes arrived changed or reordered, %d were sent", len(got), len(sent))
		}
		within(t, "half a megabyte with losses", time.Since(began), 80*time.Millisecond, 2*time.Second)
		l.SetDelay(time.Second, 0)
		began = time.Now()
		go func() {
			server.Write(payload(1))
			server.(*pipe).CloseWrite()
		}()
		if _, err := io.ReadAll(client); err != nil {
			t.Fatal(err)
		}
		within(t, "a byte over a longer way", time.Since(began), o.Delay/2+450*time.Millisecond, 2*time.Second)
		client.Close()
		server.Close()
	})
}

// What waits before the line is bounded, so a sender learns that it is slow,
// and a receiver who does not read stops it.
func TestBufferIsBounded(t *testing.T) {
	o := Options{Down: 8 * Mbit, Delay: 100 * time.Millisecond}
	onLine(t, o, func(l *testLine) {
		client, accepted := l.open()
		server := <-accepted
		sent := make(chan int, 1)
		go func() {
			n, _ := server.Write(payload(10_000_000))
			sent <- n
		}()
		time.Sleep(time.Minute)
		client.Close()
		server.Close()
		// two round trips wait, one is on its way
		if n, most := <-sent, o.Down.bytesIn(3*o.Delay)+3*maxSegment; n > most {
			t.Errorf("the line took %d bytes that nobody received, must stop at %d", n, most)
		}
	})
}

func TestJitterKeepsOrder(t *testing.T) {
	o := Options{Up: 50 * Mbit, Delay: 10 * time.Millisecond, Jitter: 40 * time.Millisecond}
	onLine(t, o, func(l *testLine) {
		client, accepted := l.open()
		server := <-accepted
		sent := payload(500_000)
		go func() {
			client.Write(sent)
			client.(*pipe).CloseWrite()
		}()
		got, err := io.ReadAll(server)
		if err != nil {
			t.Fatal(err)
		}
		if sha256.Sum256(got) != sha256.Sum256(sent) {
			t.Errorf("%d bytes arrived changed or reordered, %d were sent", len(got), len(sent))
		}
		client.Close()
		server.Close()
	})
}

// A silent cut delays what is under way by its length, and loses nothing.
func TestSilentCutStalls(t *testing.T) {
	o := Options{Up: 8 * Mbit, Down: 8 * Mbit, Delay: 50 * time.Millisecond}
	onLine(t, o, func(l *testLine) {
		client, accepted := l.open()
		server := <-accepted
		began := time.Now()
		sent := payload(500_000)
		go server.Write(sent)
		l.wg.Go(func() {
			time.Sleep(200 * time.Millisecond)
			l.Stall(l.ctx, time.Minute)
		})
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(client, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, sent) {
			t.Error("the bytes arrived changed after a cut")
		}
		ideal := time.Minute + 525*time.Millisecond
		within(t, "half a megabyte with a minute's cut", time.Since(began), ideal-grain, ideal+2*grain)
		client.Close()
		server.Close()
	})
}

// A connection that is opened during a silent cut reaches the server after it.
func TestConnectHangsDuringCut(t *testing.T) {
	onLine(t, Options{Delay: 50 * time.Millisecond}, func(l *testLine) {
		l.Cut(Silent)
		client, accepted := l.open()
		time.Sleep(time.Hour)
		select {
		case <-accepted:
			t.Fatal("the server saw a connection over a cut link")
		default:
		}
		if err := l.Restore(); err != nil {
			t.Fatal(err)
		}
		server := <-accepted
		client.Close()
		server.Close()
	})
}

// The rate can change under way.
func TestSetRate(t *testing.T) {
	onLine(t, Options{Up: 8 * Mbit}, func(l *testLine) {
		client, accepted := l.open()
		server := <-accepted
		began := time.Now()
		go client.Write(payload(1_000_000))
		if _, err := io.ReadFull(server, make([]byte, 500_000)); err != nil {
			t.Fatal(err)
		}
		l.SetRate(80*Mbit, 0)
		if _, err := io.ReadFull(server, make([]byte, 500_000)); err != nil {
			t.Fatal(err)
		}
		within(t, "half at 8 and half at 80 mbit", time.Since(began), 540*time.Millisecond, 560*time.Millisecond)
		client.Close()
		server.Close()
	})
}
