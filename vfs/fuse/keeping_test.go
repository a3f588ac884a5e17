//go:build linux

package fuse_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/fuse"
	"github.com/looming-project/looming/vfs/vfstest"
	"golang.org/x/sys/unix"
)

// store is a keeper that holds nothing but names.
type store struct {
	names map[string]bool
	room  int
	// fails is what Keep fails with.
	fails error
}

func (s *store) Keep(name string, _ int) error {
	if s.fails == nil {
		s.names[name] = true
	}
	return s.fails
}

func (s *store) Drop(name string) error { delete(s.names, name); return nil }
func (s *store) Room() int              { return s.room }
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

// A mount that cannot be kept is not made: nobody would answer there.
func TestNotKept(t *testing.T) {
	dir := t.TempDir()
	mnt := filepath.Join(dir, "mnt")
	must(t, os.Mkdir(mnt, 0o755))
	fails := errors.New("no keeper")
	o, err := fuse.Inherit(&store{names: map[string]bool{}, fails: fails}, "desk")
	must(t, err)
	tr := vfstest.NewTree(nil)
	tr.AddFile("f", []byte("body"), 1)
	f, err := crashOpen(dir, tr, 0, o)
	must(t, err)
	if _, err := fuse.New(f, mnt, fuse.Options{Handover: o}); !errors.Is(err, fails) {
		t.Errorf("a mount that is not kept: %v", err)
	}
	if names, err := os.ReadDir(mnt); len(names) > 0 || err != nil {
		t.Errorf("a mount is left: %v, %v", names, err)
	}
	must(t, f.Close(), o.Close())
}
