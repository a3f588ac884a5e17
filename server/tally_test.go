//go:build unix

package server

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/looming-project/looming/prefetch"
	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
	"github.com/looming-project/looming/server/internal/session"
	"github.com/looming-project/looming/vfs/wire"
)

var today = time.Now()

// tallyOf is an encoded tally in which paths were opened today.
func tallyOf(paths ...string) []byte {
	t := &prefetch.Tally{}
	for _, p := range paths {
		t.Opened(p, prefetch.Start, 0, today)
	}
	return t.Encode()
}

// used are the paths in a tally that the server gives.
func (c *client) used(path string) []string {
	c.s.t.Helper()
	t := c.tally(path)
	var paths []string
	for u := range t.All(today) {
		paths = append(paths, u.Path)
	}
	slices.Sort(paths)
	return paths
}

func (c *client) tally(path string) *prefetch.Tally {
	c.s.t.Helper()
	var b []byte
	must(c.s.t, c.do("GET", path, nil, &b))
	t, err := prefetch.Decode(b)
	must(c.s.t, err)
	return t
}

// What is no tally is refused, and changes nothing; what is added twice adds up.
func TestTallyAdds(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	a := s.approved("a")
	must(t, a.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "desk"}, nil))
	if got := a.used("/v1/cvds/desk/tally"); len(got) > 0 {
		t.Errorf("a desktop that nobody used has %q", got)
	}
	must(t, a.do("POST", "/v1/cvds/desk/tally", tallyOf("bin/sh"), nil))
	one := a.tally("/v1/cvds/desk/tally").Usage("bin/sh", today).Score
	want(t, "no tally", a.do("POST", "/v1/cvds/desk/tally", []byte("tally"), nil), wire.ErrInvalid)
	must(t, a.do("POST", "/v1/cvds/desk/tally", tallyOf("bin/sh"), nil))
	if two := a.tally("/v1/cvds/desk/tally").Usage("bin/sh", today).Score; two != 2*one {
		t.Errorf("used once %v, twice %v", one, two)
	}
}

// Invariant 8: what devices have in common tells nobody what one of them alone uses, nor what lies below a home.
func TestPopularity(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	for name, paths := range map[string][]string{
		"a": {"bin/sh", "bin/ls", "home/x/letter", "opt/secret"}, "b": {"bin/sh", "home/x/letter", "opt/other"}, "c": {"bin/ls"},
	} {
		c := s.approved(name)
		must(t, c.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "desk-" + name}, nil))
		must(t, c.do("POST", "/v1/cvds/desk-"+name+"/tally", tallyOf(paths...), nil))
	}
	if got, want := s.approved("new").used("/v1/popularity"), []string{"bin/ls", "bin/sh"}; !slices.Equal(got, want) {
		t.Errorf("popular are %q, want %q", got, want)
	}
}

// Invariants 5 and 10: whatever devices ask about tallies, only so many are in memory, and hold a connection of the
// database, at once; who cannot have a place waits without any.
func TestTallyPlaces(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	a := s.approved("a")
	must(t, a.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "desk"}, nil))
	ask := func() (errs []error) {
		return []error{
			a.do("GET", "/v1/cvds/desk/tally", nil, nil), a.do("POST", "/v1/cvds/desk/tally", tallyOf("bin/sh"), nil),
			a.do("GET", "/v1/popularity", nil, nil),
		}
	}
	var leaves []func()
	for device := range int64(2) {
		leave, err := s.content.Enter(t.Context(), session.Tallies, -1-device)
		must(t, err)
		leaves = append(leaves, leave)
	}
	a.http.Timeout = 200 * time.Millisecond
	for i, err := range ask() {
		if err == nil {
			t.Errorf("request %d was answered without a place", i)
		}
	}
	a.http.Timeout = 0
	for _, leave := range leaves {
		leave()
	}
	must(t, errors.Join(ask()...))
}
