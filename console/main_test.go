package console

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Nothing of a console is left running when its Run and its server have ended.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// plain is the least that a console needs: one user, one session, and a model that the test sets.
type plain struct {
	fleet func(ctx context.Context) (Model, error)
	watch func(ctx context.Context, wake func()) error
	pages func(q Query)
	admin func(by, device string) error
	check func(token string) error
	login error
}

func (p *plain) Fleet(ctx context.Context) (Model, error) {
	if p.fleet == nil {
		return Model{}, nil
	}
	return p.fleet(ctx)
}

func (p *plain) Watch(ctx context.Context, wake func()) error {
	if p.watch != nil {
		return p.watch(ctx, wake)
	}
	<-ctx.Done()
	return nil
}

func (p *plain) Endpoints(_ context.Context, q Query) (Page[Endpoint], error) {
	p.pages(q)
	return Page[Endpoint]{Total: 7}, nil
}

func (p *plain) Desktops(_ context.Context, q Query) (Page[Desktop], error) {
	p.pages(q)
	return Page[Desktop]{}, errors.New("the database is away")
}

func (p *plain) Snapshots(_ context.Context, cvd string, q Query) (Page[Snapshot], error) {
	p.pages(q)
	return Page[Snapshot]{Items: []Snapshot{{CVD: cvd}}, Total: 1}, nil
}

func (p *plain) Approve(_ context.Context, by, device string) error { return p.admin(by, device) }
func (p *plain) Revoke(_ context.Context, by, device string) error  { return p.admin(by, device) }

func (p *plain) Login(_ context.Context, user, password string) (string, time.Time, error) {
	if p.login != nil {
		return "", time.Time{}, p.login
	}
	if user != "admin" || password != "right" {
		return "", time.Time{}, ErrLogin
	}
	return "token", time.Now().Add(time.Hour), nil
}

func (p *plain) Check(_ context.Context, token string) (string, error) {
	if p.check != nil {
		return "admin", p.check(token)
	}
	if token != "token" {
		return "", ErrSession
	}
	return "admin", nil
}

func (p *plain) Logout(context.Context, string) error { return nil }

// rig is a console behind TLS whose hub runs until the test ends.
type rig struct {
	*Console
	url    string
	client *http.Client
	stop   func() // ends Run and waits for it
}

func start(t *testing.T, p *plain) *rig {
	t.Helper()
	c := New(Options{Fleet: p, Pages: p, Admin: p, Auth: p, Version: "test", Log: quiet})
	srv := httptest.NewUnstartedServer(c.Handler())
	srv.Config.ErrorLog = slog.NewLogLogger(quiet.Handler(), slog.LevelDebug)
	srv.StartTLS()
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		srv.Close()
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := srv.Client()
	client.Jar = jar
	return &rig{c, srv.URL, client, stop}
}
