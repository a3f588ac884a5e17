package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/remote/remotetest"
	"github.com/looming-project/looming/vfs/wire"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// put keeps n chunks on the server for the device "laptop".
func put(s *remotetest.Server, n, size int) (ids []chunk.ID, plain map[chunk.ID][]byte) {
	plain = map[chunk.ID][]byte{}
	for i := range n {
		b := append([]byte(fmt.Sprint(i, ":")), random(byte(i), size+i)...)
		id := s.Put("laptop", b)
		ids, plain[id] = append(ids, id), b
	}
	return ids, plain
}

// Each id is answered once, one at a time, with the right bytes or an error that says what is wrong (invariants 3 and 8).
func TestFetch(t *testing.T) {
	s := remotetest.New(t)
	ids, plain := put(s, 2500, 300)
	missing, foreign := chunk.Sum([]byte("nowhere")), s.Put("other", []byte("another device's"))
	s.Corrupt(ids[7])
	s.Damage(ids[8])
	ids = append(ids, missing, foreign)
	for _, class := range []remote.Class{remote.Demand, remote.Bulk} {
		seen := make([]int, len(ids))
		var inside atomic.Int32
		err := s.Client("laptop").Source(class).Fetch(t.Context(), ids, func(i int, b []byte, err error) error {
			if inside.Add(1) != 1 {
				t.Error("two callbacks at once")
			}
			defer inside.Add(-1)
			seen[i]++
			switch {
			case i == 7 || i == 8:
				if !errors.Is(err, chunk.ErrDamaged) || b != nil {
					t.Errorf("damaged chunk: %v, %d bytes", err, len(b))
				}
			case ids[i] == missing || ids[i] == foreign:
				if !errors.Is(err, chunk.ErrNotFound) || b != nil {
					t.Errorf("missing chunk: %v", err)
				}
			case err != nil || !bytes.Equal(b, plain[ids[i]]):
				t.Errorf("chunk %d: %v, %d bytes", i, err, len(b))
			}
			return nil
		})
		must(t, err)
		for i, n := range seen {
			if n != 1 {
				t.Fatalf("%v: chunk %d was answered %d times", class, i, n)
			}
		}
	}
}

// An error of the callback ends the call and is its error.
func TestFetchStops(t *testing.T) {
	s := remotetest.New(t)
	ids, _ := put(s, 300, 5000)
	enough := errors.New("enough")
	for _, class := range []remote.Class{remote.Demand, remote.Bulk} {
		n := 0
		err := s.Client("laptop").Source(class).Fetch(t.Context(), ids, func(int, []byte, error) error {
			if n++; n == 3 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) || n != 3 {
			t.Errorf("%v: %v after %d", class, err, n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = s.Client("laptop").Source(class).Fetch(ctx, ids, func(int, []byte, error) error { cancel(); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v: cancelled: %v", class, err)
		}
	}
}

// What a broken connection did not deliver is out of reach; the rest was delivered.
func TestFetchCut(t *testing.T) {
	s := remotetest.New(t)
	ids, plain := put(s, 200, 20_000)
	for _, how := range []string{"cut", "silent"} {
		ln, via := proxy(t, s, func(n int64) bool { return n > 1<<20 }, how == "silent")
		c := behind(t, s, via)
		var good, bad int
		err := c.Source(remote.Bulk).Fetch(t.Context(), ids, func(i int, b []byte, err error) error {
			if err == nil && bytes.Equal(b, plain[ids[i]]) {
				good++
			} else if errors.Is(err, wire.ErrUnreachable) {
				bad++
			} else {
				t.Errorf("chunk %d: %v", i, err)
			}
			return nil
		})
		must(t, err)
		if good+bad != len(ids) || good == 0 || bad == 0 {
			t.Errorf("%s: %d good, %d bad", how, good, bad)
		}
		must(t, ln.Close())
	}
}

// proxy passes bytes on until cut says that enough came from the server; then it closes the
// connection, or with silent passes no more.
func proxy(t *testing.T, s *remotetest.Server, cut func(n int64) bool, silent bool) (net.Listener, string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var wg sync.WaitGroup
	done := make(chan struct{})
	t.Cleanup(func() { close(done); wg.Wait() })
	wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "https://"))
			if err != nil {
				t.Error(err)
				return
			}
			wg.Go(func() { pass(out, in, func(int64) bool { return false }, nil); _ = out.Close() })
			wg.Go(func() {
				quiet := done
				if !silent {
					quiet = nil
				}
				pass(in, out, cut, quiet)
				_ = in.Close()
				_ = out.Close()
			})
		}
	})
	return ln, "https://" + ln.Addr().String()
}

func pass(to, from net.Conn, cut func(int64) bool, quiet chan struct{}) {
	buf := make([]byte, 8192)
	for total := int64(0); ; {
		n, err := from.Read(buf)
		if total += int64(n); cut(total) {
			if quiet != nil {
				<-quiet
			}
			return
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// behind is a client of the same server through another address.
func behind(t *testing.T, s *remotetest.Server, url string) *remote.Client {
	cert, key := s.Credentials("laptop")
	pair, err := remote.DecodeKey(key)
	must(t, err)
	tc, err := remote.Pair(cert, pair)
	must(t, err)
	c, err := remote.New(remote.Options{URL: url, CA: s.CA, Cert: tc, Limits: remote.Limits{Idle: 300 * time.Millisecond, Answer: 2 * time.Second, Patience: -1}})
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// A demand is answered while bulk requests hold all connections that bulk may have (invariant 5).
func TestDemandPassesBulk(t *testing.T) {
	s := remotetest.New(t)
	ids, plain := put(s, 10, 1000)
	var bulk atomic.Int32
	release := make(chan struct{})
	s.Fault = func(_ string, r *http.Request) error {
		if r.URL.Path == "/v1/chunks" && r.ContentLength > 32 { // bulk asks for two
			bulk.Add(1)
			<-release
		}
		return nil
	}
	c := s.ClientWith("laptop", remote.Limits{Connections: 2})
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := c.Source(remote.Bulk).Fetch(t.Context(), ids[:2], func(int, []byte, error) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	for bulk.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	b, err := chunk.Get(t.Context(), c.Source(remote.Demand), ids[3])
	if err != nil || !bytes.Equal(b, plain[ids[3]]) {
		t.Errorf("the demand: %v", err)
	}
	close(release)
	wg.Wait()
	if in, out := c.Crossed(remote.Demand); in < 1000 || out == 0 {
		t.Errorf("crossed for demand: %d in, %d out", in, out)
	}
}

// Paced answers bring the same chunks and tell of the line; a server that knows no pace serves all the same. What somebody
// waits for says so.
func TestPace(t *testing.T) {
	for _, mute := range []bool{false, true} {
		s := remotetest.New(t)
		s.Mute = mute
		ids, plain := put(s, 10, 10_000)
		var mu sync.Mutex
		paces := map[string]int{}
		s.Fault = func(_ string, r *http.Request) error {
			mu.Lock()
			defer mu.Unlock()
			if r.URL.Path == "/v1/chunks" {
				paces[r.Header.Get(wire.PaceHeader)]++
			}
			return nil
		}
		c := s.Client("laptop")
		for _, pace := range []float64{-1, 1e6, 0} {
			if pace >= 0 {
				c.Pace(pace)
			}
			err := c.Source(remote.Bulk).Fetch(t.Context(), ids, func(i int, got []byte, err error) error {
				if err != nil || !bytes.Equal(got, plain[ids[i]]) {
					t.Errorf("mute %v, chunk %d: %v", mute, i, err)
				}
				return nil
			})
			must(t, err)
			h := c.Heard()
			paced := pace >= 0 && !mute
			if (h.Pieces > 0) != paced || h.Awaited > h.Pieces || (h.Clock != "") != paced || h.Bytes < 100_000 || (h.Round > 0) != (pace >= 0) {
				t.Errorf("mute %v, pace %v: heard %+v", mute, pace, h)
			}
		}
		must(t, c.TellPace(t.Context()))
		if _, err := chunk.Get(t.Context(), c.Source(remote.Demand), ids[0]); err != nil {
			t.Error(err)
		}
		if paces[""] != 1 || paces["1000000"] != 1 || paces["0"] != 2 || paces[wire.PaceDemand] != 1 {
			t.Errorf("requests by pace: %v", paces)
		}
	}
}

// An upload whose connection breaks goes on with what did not arrive; every chunk is acknowledged once it is there.
func TestUploadGoesOn(t *testing.T) {
	s := remotetest.New(t)
	var n atomic.Int32
	s.Fault = func(_ string, r *http.Request) error {
		if strings.HasSuffix(r.URL.Path, "/chunks") {
			switch n.Add(1) {
			case 1: // keep two records, then break
				f, _, err := wire.ReadFrame(r.Body, nil)
				if err != nil {
					return err
				}
				plain, err := chunk.Decode(nil, f.Bytes, f.ID)
				if err != nil {
					return err
				}
				s.Put("laptop", plain)
				panic(http.ErrAbortHandler)
			case 2:
				return wire.ErrFull
			case 3:
				return wire.ErrUnavailable
			}
		}
		return nil
	}
	session, err := s.Client("laptop").Begin(t.Context(), "desk")
	must(t, err)
	p, want := remote.NewPack(1<<20), 0
	for i := range 20 {
		plain := random(byte(i), 1000*i)
		p.Add(chunk.Sum(plain), chunk.Encode(nil, plain))
		want++
	}
	must(t, session.Upload(t.Context(), p))
	if got, _ := s.Chunks(); got != want || s.Uploaded.Load() != int64(want-1) || n.Load() != 4 {
		t.Errorf("%d chunks, %d of them uploaded, in %d attempts", got, s.Uploaded.Load(), n.Load())
	}
}

// What cannot get better by asking again is not asked again; what can is, until patience is over.
func TestRetry(t *testing.T) {
	s := remotetest.New(t)
	for _, c := range []struct {
		err   error
		again bool
	}{
		{wire.ErrInvalid, false},
		{wire.ErrDenied, false},
		{wire.ErrExpired, false},
		{wire.ErrInternal, false},
		{wire.ErrUnavailable, true},
		{wire.ErrFull, true},
	} {
		var n atomic.Int32
		s.Fault = func(string, *http.Request) error {
			if n.Add(1) <= 2 {
				return c.err
			}
			return nil
		}
		_, err := s.Client("laptop").CVDs(t.Context())
		if c.again && err != nil || !c.again && !errors.Is(err, c.err) {
			t.Errorf("%v: %v", c.err, err)
		}
		if want := map[bool]int32{true: 3, false: 1}[c.again]; n.Load() != want {
			t.Errorf("%v: asked %d times", c.err, n.Load())
		}
	}
	s.Fault = func(string, *http.Request) error { return wire.ErrUnavailable }
	if _, err := s.ClientWith("laptop", remote.Limits{Patience: -1}).CVDs(t.Context()); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("without patience: %v", err)
	}
	s.Fault = nil
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, gone.Close())
	if _, err := behind(t, s, "https://"+gone.Addr().String()).CVDs(t.Context()); !errors.Is(err, wire.ErrUnreachable) {
		t.Errorf("nobody listens: %v", err)
	}
}

// A device without a certificate, with a revoked one, and a server under another CA are refused, in words of their own.
func TestTrust(t *testing.T) {
	s, other := remotetest.New(t), remotetest.New(t)
	c := s.Client("laptop")
	_, err := c.CVDs(t.Context())
	must(t, err)
	s.Revoke("laptop")
	if _, err := c.CVDs(t.Context()); !errors.Is(err, wire.ErrDenied) {
		t.Errorf("revoked: %v", err)
	}
	anybody, err := remote.New(remote.Options{URL: s.URL, CA: s.CA})
	must(t, err)
	defer anybody.Close()
	if _, err := anybody.CVDs(t.Context()); !errors.Is(err, wire.ErrDenied) {
		t.Errorf("without a certificate: %v", err)
	}
	wrong, err := remote.New(remote.Options{URL: s.URL, CA: other.CA})
	must(t, err)
	defer wrong.Close()
	if _, err := wrong.CVDs(t.Context()); !errors.Is(err, wire.ErrDenied) {
		t.Errorf("a server of another CA: %v", err)
	}
}

// A device asks in, waits, is approved, uses its certificate, and renews it.
func TestEnroll(t *testing.T) {
	s := remotetest.New(t)
	ca, err := remote.FetchCA(t.Context(), s.URL, remote.Limits{})
	must(t, err)
	if !bytes.Equal(ca, s.CA) {
		t.Error("another CA")
	}
	key, err := remote.NewKey()
	must(t, err)
	csr, err := remote.CSR(key, "phone")
	must(t, err)
	c, err := remote.New(remote.Options{URL: s.URL, CA: ca})
	must(t, err)
	defer c.Close()
	waited := 0
	reply, err := c.Enroll(t.Context(), wire.EnrollRequest{Name: "phone", CSR: csr}, func(wire.EnrollReply) {
		waited++
		s.Approve("phone")
	})
	must(t, err)
	if waited != 1 {
		t.Errorf("waited %d times", waited)
	}
	cert, err := remote.Pair([]byte(reply.Certificate), key)
	must(t, err)
	c.SetCertificate(cert)
	_, err = c.CVDs(t.Context())
	must(t, err)
	if remote.NeedsRenewal(cert.Leaf, time.Now()) || !remote.NeedsRenewal(cert.Leaf, time.Now().Add(17*time.Hour)) {
		t.Error("a certificate of a day is renewed after two thirds of it")
	}
	chain, err := c.Renew(t.Context(), key, "phone")
	must(t, err)
	again, err := remote.Pair(chain, key)
	must(t, err)
	if again.Leaf.SerialNumber.Cmp(cert.Leaf.SerialNumber) == 0 {
		t.Error("the same certificate")
	}
	_, err = c.CVDs(t.Context())
	must(t, err)
	s.Token("once")
	reply, err = c.Enroll(t.Context(), wire.EnrollRequest{Name: "tablet", CSR: csr, Token: "once"}, func(wire.EnrollReply) { t.Error("had to wait") })
	if err != nil || reply.State != "approved" {
		t.Errorf("with a token: %v %v", reply, err)
	}
}

// A commit whose answer is lost is not lost.
func TestCommitAnswerLost(t *testing.T) {
	s := remotetest.New(t)
	c := s.Client("laptop")
	session, err := c.Begin(t.Context(), "desk")
	must(t, err)
	root := tree(t, s)
	var n atomic.Int32
	s.Fault = func(_ string, r *http.Request) error {
		if strings.HasSuffix(r.URL.Path, "/commit") && n.Add(1) == 2 {
			return wire.ErrExpired // as a server does whose session is committed
		}
		return nil
	}
	s.AfterCommit = func() {
		if n.Load() == 1 {
			panic(http.ErrAbortHandler)
		}
	}
	snap, err := session.Commit(t.Context(), "desk", wire.CommitRequest{Root: root, Taken: time.Now()})
	must(t, err)
	if snap.ID != s.Latest("desk").ID || snap.ID.IsZero() || n.Load() != 2 {
		t.Errorf("%+v after %d attempts", snap, n.Load())
	}
}

// The tally goes there and back; snapshots are found by prefix.
func TestDocuments(t *testing.T) {
	s := remotetest.New(t)
	c := s.Client("laptop")
	session, err := c.Begin(t.Context(), "desk")
	must(t, err)
	snap, err := session.Commit(t.Context(), "desk", wire.CommitRequest{Root: tree(t, s), Taken: time.Now()})
	must(t, err)
	for _, id := range []string{"", "latest", snap.ID.String(), snap.ID.String()[:5]} {
		if got, err := c.Snapshot(t.Context(), "desk", id); err != nil || got.ID != snap.ID {
			t.Errorf("snapshot %q: %v, %v", id, got.ID, err)
		}
	}
	if _, err := c.Snapshot(t.Context(), "nothing", ""); !errors.Is(err, wire.ErrNotFound) {
		t.Errorf("no such desktop: %v", err)
	}
	must(t, c.AddTally(t.Context(), "desk", []byte("tally")))
	if b, err := c.Tally(t.Context(), "desk"); err != nil || string(b) != "tally" {
		t.Errorf("%q, %v", b, err)
	}
	s.Popular = []byte("popular")
	if b, err := c.Popularity(t.Context()); err != nil || string(b) != "popular" {
		t.Errorf("%q, %v", b, err)
	}
	list, err := c.Snapshots(t.Context(), "desk")
	if err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// tree puts an empty desktop on the server.
func tree(t *testing.T, s *remotetest.Server) cvd.Root {
	t.Helper()
	id, _, err := cvd.NewBuilder(func(plain []byte) (chunk.ID, error) { return s.Put("laptop", plain), nil }).Finish()
	must(t, err)
	plain, err := cvd.EncodeRoot(&cvd.Entry{Type: cvd.Dir, Tree: id})
	must(t, err)
	return cvd.Root(s.Put("laptop", plain))
}
