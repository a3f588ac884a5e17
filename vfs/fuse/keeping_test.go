//go:build linux

package fuse_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/fuse"
	"golang.org/x/sys/unix"
)

// store is a keeper that holds nothing but names.
type store struct {
	names map[string]bool
	room  int
}

func (s *store) Keep(name string, _ int) error { s.names[name] = true; return nil }
func (s *store) Drop(name string) error        { delete(s.names, name); return nil }
func (s *store) Room() int                     { return s.room }
func (s *store) Names(prefix string) (names []string) {
	for name := range s.names {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

func (s *store) Take(name string) (int, bool) {
	if !s.names[name] {
		return 0, false
	}
	fd, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	return fd, err == nil
}

// Nothing of a mount is kept once it ended, whoever gave it to the keeper: a
// process of which something is kept has died.
func TestNothingKept(t *testing.T) {
	s := &store{names: map[string]bool{"other.n1.5": true, "desk.n1.5": true, "desk.place": true}, room: 1 << 20}
	all := func() []string { return slices.Sorted(maps.Keys(s.names)) }
	o, err := fuse.Inherit(s, "desk")
	must(t, err)
	if got := all(); !slices.Equal(got, []string{"other.n1.5"}) {
		t.Errorf("kept of a mount that is gone: %q", got)
	}
	fd, ok := s.Take("other.n1.5")
	p := backing.PinOf(fd)
	if o.Held(5) != nil || !ok {
		t.Error("something was held for a node that is new")
	}
	o.Hold(5, p, true, true)
	o.Hold(6, p, false, true) // used by nobody
	o.Hold(7, p, false, false)
	s.room = 0
	o.Hold(8, p, false, false) // there is no room, and it can be looked up
	if got := all(); len(got) != 3 {
		t.Errorf("held: %q", got)
	}
	o.Release(7)
	o.Release(9)
	if got := all(); len(got) != 2 {
		t.Errorf("held: %q", got)
	}
	must(t, o.Close(), o.Close(), p.Close())
	if got := all(); len(got) != 1 {
		t.Errorf("kept of a mount that ended: %q", got)
	}
}
