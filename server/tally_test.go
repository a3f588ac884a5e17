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

// Invariant 8: nobody is told but what two other owners use at least, and nothing but what is the system's. What a device
// says of another's desktop does not count, so that it cannot find out what that one uses.
func TestPopularity(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	asking := map[string]*client{"new": s.approved("new"), "spy": s.approved("spy")}
	for name, paths := range map[string][]string{
		"a": {"bin/sh", "bin/ls", "bin/ab", "home/x/letter", "opt/secret", "opt/only-a"}, "b": {"bin/sh", "bin/ab", "home/x/letter", "opt/other"},
		"c": {"bin/ls", "bin/sh", "home/x/letter"},
	} {
		c := s.approved(name)
		asking[name] = c
		for _, desk := range []string{"desk-", "second-"} { // of which the latest counts
			must(t, c.do("POST", "/v1/sessions", wire.BeginRequest{CVD: desk + name}, nil))
			must(t, c.do("POST", "/v1/cvds/"+desk+name+"/tally", tallyOf(paths...), nil))
		}
	}
	spy := asking["spy"]
	must(t, s.admin("POST", "/v1/admin/cvds/second-a/assign", map[string]string{"device": "spy"}, nil))
	must(t, spy.do("POST", "/v1/cvds/second-a/tally", tallyOf("opt/only-a"), nil))
	must(t, spy.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "spying"}, nil))
	must(t, spy.do("POST", "/v1/cvds/spying/tally", tallyOf("opt/secret"), nil))
	for name, want := range map[string][]string{"new": {"bin/ab", "bin/ls", "bin/sh", "opt/secret"}, "spy": {"bin/sh"}, "a": {"bin/sh"}} {
		if got := asking[name].used("/v1/popularity"); !slices.Equal(got, want) {
			t.Errorf("%s is told of %q, want %q", name, got, want)
		}
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
