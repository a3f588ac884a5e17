package link_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/looming-project/looming/tools/wan/link"
)

// These tests run the link over real sockets.

// start runs a link to a server that echoes each connection until the client
// has ended its side. Everything has ended, with no goroutine left, when the
// test has.
func start(t *testing.T, o link.Options) *link.Link {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := link.Listen("127.0.0.1:0", server.Addr().String(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	running.Go(func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		server.Close()
		running.Wait()
		goleak.VerifyNone(t, leaks)
	})
	return l
}

func dial(t *testing.T, l *link.Link) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// echo sends n random bytes in uneven pieces and checks what comes back, to
// the end of the stream.
func echo(conn *net.TCPConn, n int) error {
	sent := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	r.Read(sent)
	var wrote sync.WaitGroup
	wrote.Go(func() {
		for rest := sent; len(rest) > 0; {
			k := min(len(rest), 1+int(r.Uint64()%100_000))
			if _, err := conn.Write(rest[:k]); err != nil {
				return
			}
			rest = rest[k:]
		}
		conn.CloseWrite()
	})
	got, err := io.ReadAll(conn)
	wrote.Wait()
	if err == nil && !bytes.Equal(got, sent) {
		err = errors.New("the echo differs from what was sent")
	}
	return err
}

func TestEveryByteInOrder(t *testing.T) {
	for _, o := range []link.Options{
		{},
		{Up: 400 * link.Mbit, Down: 400 * link.Mbit, Delay: 2e6, Jitter: 1e6},
	} {
		l := start(t, o)
		var group sync.WaitGroup
		var total int64
		for i := range 16 {
			n := i * i * 4567
			total += int64(n)
			conn := dial(t, l)
			group.Go(func() {
				if err := echo(conn, n); err != nil {
					t.Errorf("%d bytes over %v: %v", n, o.Up, err)
				}
			})
		}
		group.Wait()
		if s := l.Stats(); s.Up != total || s.Down != total || s.Opened != 16 {
			t.Errorf("Stats() = %+v after 16 echoes of %d bytes in all", s, total)
		}
	}
}

func TestResetCut(t *testing.T) {
	l := start(t, link.Options{})
	conn := dial(t, l)
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	l.Cut(link.Reset)
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a read on a connection that was cut gave %v, must be a reset", err)
	}
	if c, err := net.Dial("tcp", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting to a cut link gave %v, %v, must be refused", c, err)
	}
	if err := l.Restore(); err != nil {
		t.Fatal(err)
	}
	if err := echo(dial(t, l), 100_000); err != nil {
		t.Errorf("after Restore: %v", err)
	}
}

func TestServerRefuses(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	l, err := link.Listen("127.0.0.1:0", gone.Addr().String(), link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	defer running.Wait()
	defer cancel()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("using a link to a server that refuses gave %v, must be a reset", err)
	}
}

func TestRestoreAfterEnd(t *testing.T) {
	l, err := link.Listen("127.0.0.1:0", "127.0.0.1:1", link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := l.Restore(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Restore after Run gave %v, must say that the link is closed", err)
	}
}

func TestParseRate(t *testing.T) {
	for word, want := range map[string]link.Rate{
		"20mbit": 20 * link.Mbit, "1.5Gbit": 1500 * link.Mbit, "56 kbit": 56000, "9bit": 9, "unlimited": 0,
	} {
		got, err := link.ParseRate(word)
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %v, %v, must be %v", word, int64(got), err, int64(want))
		}
		if again, err := link.ParseRate(got.String()); err != nil || again != got {
			t.Errorf("%q does not read back as itself: %v, %v", got.String(), again, err)
		}
	}
	for _, word := range []string{"", "20", "-1mbit", "0mbit", "mbit", "20mb", "1e300gbit", "nanbit"} {
		if got, err := link.ParseRate(word); err == nil {
			t.Errorf("ParseRate(%q) = %v, must fail", word, got)
		}
	}
}
