//go:build unix

package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/looming-project/looming/server/internal/pgrun"
	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
	"github.com/looming-project/looming/vfs/wire"
)

func recorder(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

// childData makes the test binary a server with that data directory.
const childData = "LOOMING_TEST_SERVE_DATA"

func childServes() bool {
	data := os.Getenv(childData)
	if data == "" {
		return false
	}
	err := Serve(context.Background(), ServeOptions{
		Data: data, Listen: "127.0.0.1:0", Ready: func(a Address) { os.Stdout.WriteString(a.URL + "\n") },
		Options: Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))},
	})
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	return true
}

// child is a server in a process of its own.
type child struct {
	cmd *exec.Cmd
	*served
}

func start(t *testing.T, data string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childData+"="+data)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatalf("the server does not start: %v, %v", err, cmd.Wait())
	}
	b, err := os.ReadFile(filepath.Join(data, "admin.json"))
	must(t, err)
	var a access
	must(t, json.Unmarshal(b, &a))
	if a.Server != strings.TrimSpace(string(line[:n])) {
		t.Errorf("admin.json says %s, the server %s", a.Server, line[:n])
	}
	return &child{cmd, &served{t: t, authority: []byte(a.CA), url: a.Server, token: a.Token}}
}

func (c *child) end(sig os.Signal) error {
	_ = c.cmd.Process.Signal(sig)
	return c.cmd.Wait()
}

func postmaster(t *testing.T, data string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(data, "postgres", "cluster", "postmaster.pid"))
	must(t, err)
	pid, err := strconv.Atoi(strings.SplitN(string(b), "\n", 2)[0])
	must(t, err)
	return pid
}

// Invariant 2: kill -9 of the server, and then of Postgres, loses nothing acknowledged: the CA, the devices, the admin's
// token and what a device uploaded are the same after a restart.
func TestServeKilled(t *testing.T) {
	data := pgtest.Dir(t)
	first := start(t, data)
	info, err := os.Stat(filepath.Join(data, "admin-password"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the password has mode %v", info.Mode())
	}
	c := first.approved("desk")
	must(t, c.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "cvd"}, nil))
	must(t, c.do("POST", "/v1/cvds/cvd/tally", tallyOf("bin/sh"), nil))
	before := postmaster(t, data)
	_ = first.end(syscall.SIGKILL)

	second := start(t, data)
	if postmaster(t, data) != before {
		t.Error("the Postgres of the killed server was not adopted")
	}
	if second.token != first.token {
		t.Error("the admin's token changed")
	}
	c.s = second.served
	cert := c.cert
	c.use(cert)
	check := func() error {
		var tally []byte
		if err := c.do("GET", "/v1/cvds/cvd/tally", nil, &tally); err != nil {
			return err
		}
		if !bytes.Equal(tally, tallyOf("bin/sh")) {
			t.Errorf("the tally is %q", tally)
		}
		return nil
	}
	must(t, check())

	must(t, syscall.Kill(before, syscall.SIGKILL))
	eventually(t, func() error {
		err := check()
		if err != nil && !errors.Is(err, wire.ErrUnavailable) {
			t.Errorf("while Postgres is away: %v, want unavailable", err)
		}
		return err
	})
	if err := second.end(syscall.SIGKILL); err == nil {
		t.Error("it was not killed")
	}
	must(t, syscall.Kill(postmaster(t, data), syscall.SIGKILL))
	third := start(t, data)
	c.s = third.served
	c.use(cert)
	must(t, check())
	must(t, syscall.Kill(postmaster(t, data), 0))
	_ = third.end(syscall.SIGKILL) // the helper has no signal handling; what cleans up is the next Serve

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, ServeOptions{Data: data, Listen: "127.0.0.1:0", Ready: func(Address) { cancel() }, Options: Options{Log: slog.New(slog.DiscardHandler)}})
	}()
	must(t, <-ended)
	if _, err := os.Stat(filepath.Join(data, "postgres", "cluster", "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after a clean end Postgres still runs: %v", err)
	}
}

// One server has a data directory at a time.
func TestOneServerPerDirectory(t *testing.T) {
	data := pgtest.Dir(t)
	unlock, err := lock(filepath.Join(data, "lock"))
	must(t, err)
	defer unlock()
	err = Serve(t.Context(), ServeOptions{Data: data, Listen: "127.0.0.1:0", Options: Options{Log: slog.New(slog.DiscardHandler)}})
	want(t, "the second server", err, wire.ErrConflict)
}

// /readyz says why a server cannot serve; /livez only that it lives. Without its database it answers "unavailable" and
// goes on when that is back.
func TestReadyWithoutPostgres(t *testing.T) {
	data := pgtest.Dir(t)
	stopPostgres, dsn := privatePostgres(t, data)
	s := serve(t, dsn)
	c := s.approved("desk")
	ready := func() (r Readiness, status int) {
		resp, err := c.http.Get(s.url + "/readyz")
		must(t, err)
		defer resp.Body.Close()
		must(t, json.NewDecoder(resp.Body).Decode(&r))
		return r, resp.StatusCode
	}
	if r, status := ready(); !r.Ready || status != 200 || len(r.Checks) != 3 {
		t.Errorf("ready: %d %+v", status, r)
	}
	stopPostgres()
	r, status := ready()
	if r.Ready || status != 503 || r.Checks[0].OK || !strings.Contains(r.Checks[0].Reason, "out of reach") {
		t.Errorf("without Postgres: %d %+v", status, r)
	}
	if strings.Contains(r.Checks[0].Reason, data) {
		t.Errorf("the reason tells strangers about the machine: %s", r.Checks[0].Reason)
	}
	must(t, c.do("GET", "/livez", nil, nil))
	want(t, "a request without the database", c.do("GET", "/v1/cvds", nil, nil), wire.ErrUnavailable)

	privatePostgres(t, data)
	eventually(t, func() error {
		if r, _ := ready(); !r.Ready {
			return errors.New("not ready")
		}
		return c.do("GET", "/v1/cvds", nil, nil)
	})
}

// Two servers on one database are one: what one did the other knows, and they share the CA.
func TestTwoServers(t *testing.T) {
	dsn := pgtest.Database(t)
	a, b := serve(t, dsn), serve(t, dsn)
	if string(a.ca.PEM()) != string(b.ca.PEM()) {
		t.Fatal("they have different CAs")
	}
	c := a.approved("desk")
	must(t, c.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "cvd"}, nil))
	c.s = b
	var list []wire.CVD
	must(t, c.do("GET", "/v1/cvds", nil, &list))
	if len(list) != 1 {
		t.Errorf("the other server lists %v", list)
	}
}

// A clean shutdown finishes what is under way.
func TestDrain(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	c := s.approved("desk")
	must(t, c.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "cvd"}, nil))
	body := &slowBody{begun: make(chan struct{}), rest: make(chan struct{})}
	req, err := http.NewRequest("POST", s.url+"/v1/cvds/cvd/tally", body)
	must(t, err)
	answered := make(chan int, 1)
	go func() {
		resp, err := c.http.Do(req)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-body.begun
	eventually(t, func() error { // it has arrived
		if !strings.Contains(metricsOf(t, s), "looming_requests_in_flight 1") {
			return errors.New("not under way")
		}
		return nil
	})
	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	eventually(t, func() error {
		if resp, err := s.client("x").http.Get(s.url + "/livez"); err == nil {
			resp.Body.Close()
			return errors.New("still takes connections")
		}
		return nil
	})
	close(body.rest)
	if status := <-answered; status != http.StatusBadRequest {
		t.Errorf("what was under way ended with %d, want the answer", status)
	}
	<-stopped
}

func metricsOf(t *testing.T, s *served) string {
	t.Helper()
	w := recorder(s.metrics.handler(), "GET", "/metrics")
	return w.Body.String()
}

// slowBody sends a byte, and the end when it may.
type slowBody struct{ begun, rest chan struct{} }

func (b *slowBody) Read(p []byte) (int, error) {
	select {
	case <-b.begun:
		<-b.rest
		return 0, io.EOF
	default:
		close(b.begun)
		p[0] = 'x'
		return 1, nil
	}
}

// The address that asks too often waits; others do not.
func TestEnrollLimit(t *testing.T) {
	l := newLimiter()
	for range enrolBurst {
		if l.take("192.0.2.1") > 0 {
			t.Fatal("held back within the burst")
		}
	}
	if l.take("192.0.2.1") == 0 {
		t.Error("no limit")
	}
	if l.take("192.0.2.2") > 0 {
		t.Error("another address is held back")
	}
	for i := range 2 * limiterMax {
		l.take("10.0." + strconv.Itoa(i/250) + "." + strconv.Itoa(i%250))
	}
	if len(l.all) > limiterMax {
		t.Errorf("it remembers %d addresses", len(l.all))
	}
	if network("2001:db8::1") != network("2001:db8::2") || network("::ffff:192.0.2.1") != "192.0.2.1" {
		t.Error("addresses of one party count as many")
	}
}

// privatePostgres is a Postgres that can be stopped.
func privatePostgres(t *testing.T, data string) (stop func(), dsn string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	o := pgrun.Options{Dir: filepath.Join(data, "postgres"), Log: slog.New(slog.DiscardHandler), Settings: map[string]string{"fsync": "off"}}
	go func() { ended <- pgrun.Run(ctx, o, func(dsn string) { ready <- dsn }) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop, <-ready
}
