package browser_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/looming-project/looming/console"
	"github.com/looming-project/looming/console/consoletest"
	"github.com/looming-project/looming/tests/browser"
)

// serve runs a console over a fleet, behind TLS and below a path, as the server mounts it. It returns the address.
func serve(t *testing.T, f *consoletest.Fake) string {
	t.Helper()
	o := f.Options()
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	c := console.New(o)
	mux := http.NewServeMux()
	mux.Handle("/console/", http.StripPrefix("/console", c.Handler()))
	srv := httptest.NewUnstartedServer(mux)
	srv.Config.ErrorLog = slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	srv.StartTLS()
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		srv.Close()
	})
	return srv.URL + "/console/"
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// setStream puts a stream in place of the one with its id.
func setStream(f *consoletest.Fake, s console.Stream) {
	f.Update(func(m *console.Model) {
		i := slices.IndexFunc(m.Streams, func(o console.Stream) bool { return o.ID == s.ID })
		m.Streams[i] = s
	})
}

// TestStreamToNative: the bars of a stream that goes from nothing to native never go back and end full.
func TestStreamToNative(t *testing.T) {
	f := consoletest.New(consoletest.Sample(time.Now()))
	setStream(f, consoletest.Step(0, time.Now()))
	url := serve(t, f)
	ctx := browser.Start(t)
	must(t, browser.Login(ctx, url, consoletest.User, consoletest.Password))
	before, err := browser.ReadBars(ctx, consoletest.Moving)
	must(t, err)
	if before.Whole != 0 || before.Phase != string(console.Listing) {
		t.Fatalf("before it starts the card shows %+v", before)
	}
	for percent := 5; percent < 100; percent += 5 {
		setStream(f, consoletest.Step(float64(percent)/100+0.001, time.Now()))
		if percent%20 != 0 {
			continue
		}
		must(t, browser.WaitWhole(ctx, consoletest.Moving, percent))
		b, err := browser.ReadBars(ctx, consoletest.Moving)
		must(t, err)
		if b.Whole < before.Whole || b.Start < before.Start || b.Start < b.Whole {
			t.Errorf("bars went from %+v to %+v", before, b)
		}
		before = b
	}
	setStream(f, consoletest.Step(1, time.Now()))
	must(t, browser.WaitNative(ctx, consoletest.Moving))
}

// TestWrongPassword: the form says so in words, holds back who goes on guessing, and the right password still works
// for another name.
func TestWrongPassword(t *testing.T) {
	f := consoletest.New(consoletest.Sample(time.Now()))
	url := serve(t, f)
	ctx := browser.Start(t)
	var text string
	for range 6 {
		must(t, browser.TryLogin(ctx, url, "mallory", "guess"))
		var err error
		text, err = browser.LoginError(ctx)
		must(t, err)
		if strings.Contains(text, "Too many") {
			break
		}
		if text != "Wrong user name or password." {
			t.Fatalf("the form says %q", text)
		}
	}
	if !strings.Contains(text, "Try again in") {
		t.Errorf("after six guesses the form says %q", text)
	}
	must(t, browser.Login(ctx, url, consoletest.User, consoletest.Password))
}

// TestCutLink: a page whose connection is cut says so, comes back by itself and shows what happened meanwhile.
func TestCutLink(t *testing.T) {
	f := consoletest.New(consoletest.Sample(time.Now()))
	url := serve(t, f)
	host := strings.TrimSuffix(strings.TrimPrefix(url, "https://"), "/console/")
	k := newLink(t, host)
	ctx := browser.Start(t)
	must(t, browser.Login(ctx, "https://"+k.l.Addr().String()+"/console/", consoletest.User, consoletest.Password))
	must(t, browser.WaitWhole(ctx, consoletest.Moving, 43))
	k.cut()
	must(t, browser.WaitReconnecting(ctx))
	f.Update(func(m *console.Model) { // removals and changes that no page was there to see
		m.Streams = slices.DeleteFunc(m.Streams, func(s console.Stream) bool { return s.ID == "st-paul" })
	})
	setStream(f, consoletest.Step(1, time.Now()))
	k.mend()
	must(t, browser.WaitLive(ctx))
	must(t, browser.WaitNative(ctx, consoletest.Moving))
	must(t, browser.Gone(ctx, "st-paul"))
}

// TestApprove: a pending device is approved from the overview, in the admin's name, and the page shows it everywhere.
func TestApprove(t *testing.T) {
	f := consoletest.New(consoletest.Sample(time.Now()))
	url := serve(t, f)
	ctx := browser.Start(t)
	must(t, browser.Login(ctx, url, consoletest.User, consoletest.Password))
	must(t, browser.Approve(ctx, "pc2101.example.org"))
	must(t, browser.Open(ctx, "/endpoints"))
	must(t, browser.Approve(ctx, "pc2114.example.org"))
	m, err := f.Fleet(ctx)
	must(t, err)
	want := []string{"admin approve " + m.Endpoints[0].ID, "admin approve " + m.Endpoints[1].ID}
	if got := f.Log(); !slices.Equal(got, want) {
		t.Errorf("the server was told %q, want %q", got, want)
	}
}

// TestSessionEnds: a page whose session ends elsewhere goes to the login when it comes back, and says why.
func TestSessionEnds(t *testing.T) {
	f := consoletest.New(consoletest.Sample(time.Now()))
	url := serve(t, f)
	ctx := browser.Start(t)
	must(t, browser.Login(ctx, url, consoletest.User, consoletest.Password))
	f.EndSessions()
	must(t, browser.Open(ctx, "/desktops"))
	must(t, browser.WaitLogin(ctx))
}
