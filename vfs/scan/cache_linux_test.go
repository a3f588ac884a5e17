package scan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/remote/remotetest"
	"golang.org/x/sys/unix"
)

// However a tree changes, a snapshot with the stat cache of the one before is what is on disk.
func TestChanges(t *testing.T) {
	for seed := range uint64(3) {
		dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
		oddities(t, dir)
		r := rand.New(rand.NewPCG(seed, 1))
		for range 6 {
			var count Counters
			taken(t, s, Options{Root: dir, Cache: cache, Count: &count})
			exact(t, s, dir)
			for range 1 + r.IntN(8) {
				mutate(t, r, dir)
			}
		}
	}
}

// mutate makes one change somewhere in the tree.
func mutate(t *testing.T, r *rand.Rand, dir string) {
	var files, dirs []string
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		switch {
		case err != nil || len(path) > 3000:
			return filepath.SkipDir
		case e.IsDir():
			dirs = append(dirs, path)
		case e.Type().IsRegular():
			files = append(files, path)
		}
		return nil
	}))
	file, other := files[r.IntN(len(files))], files[r.IntN(len(files))]
	in := filepath.Join(dirs[r.IntN(len(dirs))], fmt.Sprintf("n%d", r.IntN(1e9)))
	var err error
	switch r.IntN(9) {
	case 0:
		err = os.WriteFile(file, random(r.Uint64(), r.IntN(300_000)), 0o644)
	case 1:
		err = os.Remove(file)
	case 2:
		err = os.Rename(file, in)
	case 3:
		err = os.Link(file, in)
	case 4:
		err = unix.Setxattr(file, "user.m", random(r.Uint64(), 30), 0)
	case 5:
		err = os.Chmod(file, os.FileMode(r.IntN(0o1000)))
	case 6:
		err = os.Rename(other, file)
	case 7:
		d := dirs[r.IntN(len(dirs))]
		if d == dir || len(d) > 2000 {
			return
		}
		if err = os.Rename(d, in); errors.Is(err, unix.EINVAL) { // into itself
			err = nil
		}
	case 8:
		if err = os.Remove(file); err == nil {
			err = os.MkdirAll(filepath.Join(file, "was-a-file"), 0o711)
		}
	}
	must(t, err)
}

// A file that is moved to be the first of its names gives the others another group, without their being read.
func TestFirstNameMoves(t *testing.T) {
	dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
	must(t, os.MkdirAll(filepath.Join(dir, "a"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "a", "one"), random(1, 100_000), 0o644))
	must(t, os.Link(filepath.Join(dir, "a", "one"), filepath.Join(dir, "two")))
	must(t, os.Link(filepath.Join(dir, "a", "one"), filepath.Join(dir, "xyz")))
	taken(t, s, Options{Root: dir, Cache: cache})
	must(t, os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "z")))
	var count Counters
	taken(t, s, Options{Root: dir, Cache: cache, Count: &count})
	exact(t, s, dir)
	if n := count.BytesRead.Load(); n != 0 {
		t.Errorf("%d bytes were read", n)
	}
}

// A change within the clock's granularity is noticed, although size and times are the same.
func TestRacilyClean(t *testing.T) {
	dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
	path := filepath.Join(dir, "f")
	must(t, os.WriteFile(path, []byte(strings.Repeat("a", 5000)), 0o644))
	first := taken(t, s, Options{Root: dir, Cache: cache})
	// The same entry as it would be recorded if it had changed just now: it must not be trusted.
	now := taken(t, s, Options{Root: dir, Cache: t.TempDir(), Now: nowFor(t, path)})
	if first.Root != now.Root {
		t.Fatal("the same tree has two roots")
	}
	var count Counters
	cache = t.TempDir()
	taken(t, s, Options{Root: dir, Cache: cache, Now: nowFor(t, path)})
	taken(t, s, Options{Root: dir, Cache: cache, Count: &count})
	if n := count.BytesRead.Load(); n != 5000 {
		t.Errorf("%d bytes were read of a file that may have changed", n)
	}
	count.BytesRead.Store(0)
	taken(t, s, Options{Root: dir, Cache: cache, Count: &count})
	if n := count.BytesRead.Load(); n != 0 {
		t.Errorf("%d bytes were read of a file that cannot have changed", n)
	}
}

// A stat cache that is damaged in any way is left aside where it is damaged: the snapshot is right, and says so.
func TestDamagedCache(t *testing.T) {
	dir, cache, s := t.TempDir(), t.TempDir(), remotetest.New(t)
	oddities(t, dir)
	taken(t, s, Options{Root: dir, Cache: cache})
	found, err := filepath.Glob(filepath.Join(cache, "*.cache"))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("stat caches: %q", found)
	}
	good, err := os.ReadFile(found[0])
	must(t, err)
	for name, bad := range map[string][]byte{
		"empty": {}, "another version": append([]byte("LSC\x01"), good[4:]...), "cut": good[:len(good)/2],
		"cut at the end": good[:len(good)-8], "flipped": flip(good, len(good)/3), "flipped head": flip(good, 20), "longer": append(good[:len(good):len(good)], 1),
		"foreign": []byte(strings.Repeat("not a cache ", 1000)),
	} {
		must(t, os.WriteFile(found[0], bad, 0o600))
		notices := 0
		taken(t, s, Options{Root: dir, Cache: cache, Notice: func(string) { notices++ }})
		exact(t, s, dir)
		if notices == 0 && name != "longer" {
			t.Errorf("%s: nothing was said", name)
		}
	}
}

func flip(b []byte, at int) []byte {
	c := append([]byte{}, b...)
	c[at] ^= 4
	return c
}
