package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/looming-project/looming/cmd/internal/exit"
)

// Without a word, the trees that this machine knows are used, the latest first, but for the target; what is named is
// used alone, and a desktop that is shown where is named is read beneath.
func TestChooseTrees(t *testing.T) {
	a := &app{dir: t.TempDir()}
	dirs := make([]string, 6)
	for i := range dirs {
		dirs[i] = t.TempDir()
		a.trees().add(dirs[i], "desk")
	}
	mustDo(t, os.Remove(dirs[0]))
	known, err := a.trees().all()
	mustDo(t, err)
	if len(known) != 5 || known[0].CVD != "desk" {
		t.Fatalf("known: %+v", known)
	}
	shown := knownTree{Path: filepath.Join(dirs[5], "backing"), target: filepath.Join(dirs[5], "target")}
	known = append(known, shown)
	for _, c := range []struct {
		paths  []string
		target string
		want   int
	}{
		{nil, "", treesMax},
		{nil, dirs[1], treesMax},
		{[]string{noReuse}, "", 0},
		{[]string{dirs[3], dirs[2]}, "", 2},
	} {
		got, err := chooseTrees(c.paths, slices.Clone(known), c.target)
		mustDo(t, err)
		if len(got) != c.want || slices.ContainsFunc(got, func(k knownTree) bool { return k.Path == c.target }) {
			t.Errorf("%q, streaming to %q: %+v", c.paths, c.target, got)
		}
	}
	mustDo(t, os.Mkdir(shown.target, 0o755))
	if got, err := chooseTrees([]string{shown.target}, known, ""); err != nil || got[0].Path != shown.Path {
		t.Errorf("a desktop that is shown: %+v, %v", got, err)
	}
	if _, err := chooseTrees([]string{dirs[0]}, known, ""); exit.Code(err) != exit.UsageCode {
		t.Errorf("a tree that is gone: %v", err)
	}
}
