package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/remote/remotetest"
	"github.com/looming-project/looming/vfs/wire"
	"golang.org/x/sys/unix"
)

// marked makes a tree with placeholders of each kind, under the given name of marks.
func marked(t *testing.T, attr string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, d := range []string{"a", "b/unlisted/half", "b/listed/deep", "b/plain", "strange"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	for _, f := range []string{"a/f", "b/unlisted/half/f", "b/listed/deep/f", "b/listed/g", "b/plain/f", "file", "strange/f"} {
		must(t, os.WriteFile(filepath.Join(dir, f), random(1, 1000), 0o644))
	}
	id := chunk.Sum([]byte("tree"))
	file := backing.Mark{Size: 1000, Content: cvd.Content{ID: id}}
	for name, m := range map[string]*backing.Mark{"b/unlisted": {Tree: id}, "b/listed": {Tree: id, Listed: 5}, "file": &file} {
		must(t, unix.Setxattr(filepath.Join(dir, name), attr, m.Encode(), 0))
	}
	must(t, unix.Setxattr(filepath.Join(dir, "strange"), attr, []byte("of a later version"), 0))
	must(t, unix.Setxattr(filepath.Join(dir, "b/listed"), "user.own", []byte("kept"), 0))
	must(t, unix.Setxattr(filepath.Join(dir, "b/plain"), "user.loomings", []byte("kept"), 0))
	return dir
}

// A placeholder whose content is not here is in no snapshot, and is reported by each, however often (invariant 1).
func TestMarksWithoutMount(t *testing.T) {
	for _, attr := range marks {
		dir, cache, s := marked(t, attr), t.TempDir(), remotetest.New(t)
		want := []string{"b/listed", "b/unlisted", "file", "strange"}
		for n := range 4 {
			if n == 2 { // also where something else changed
				must(t, os.WriteFile(filepath.Join(dir, "b/new"), nil, 0o644))
			}
			var bad []string
			res := taken(t, s, Options{Root: dir, Cache: cache, Unreadable: func(path string, err error) {
				if bad = append(bad, path); !errors.Is(err, ErrPlaceholder) {
					t.Errorf("%s: %v", path, err)
				}
			}})
			if !slices.Equal(bad, want) || res.Unreadable != int64(len(want)) {
				t.Errorf("%s: snapshot %d reported %q, %d", attr, n, bad, res.Unreadable)
			}
			withoutMarks(t, inSnapshot(t, s.Source(), res.Root), onDisk(t, dir), attr)
		}
	}
}

// withoutMarks fails unless a snapshot is the disk without its placeholders.
func withoutMarks(t *testing.T, got, disk described, attr string) {
	t.Helper()
	for path, line := range disk {
		if strings.HasPrefix(path, "/b/unlisted/") || strings.HasPrefix(path, "/strange/") || path == "/file" {
			delete(disk, path)
		} else if at := strings.Index(line, " "+attr+"="); at >= 0 {
			end := at + 1 + len(attr)
			if next := strings.IndexByte(line[end:], ' '); next >= 0 {
				end += next
			} else {
				end = len(line)
			}
			disk[path] = line[:at] + line[end:]
		}
	}
	if d := disk.diff(got); d != "" {
		t.Errorf("%s: disk and snapshot differ:\n%s", attr, d)
	}
	if all := fmt.Sprint(got); !strings.Contains(all, "user.own=") || !strings.Contains(all, "user.loomings=") {
		t.Errorf("%s: attributes of the desktop's own are missing", attr)
	}
}

// What an interrupted snapshot learnt is not taken for more than it is.
func TestMarksAfterInterruption(t *testing.T) {
	for _, attr := range marks {
		dir, cache, s := marked(t, attr), t.TempDir(), remotetest.New(t)
		incompressible(t, filepath.Join(dir, "a"), 60)
		ctx, stop := context.WithCancel(t.Context())
		_, err := Snapshot(ctx, s.Client("laptop"), Options{
			Root: dir, CVD: "desk", Cache: cache, Now: later, Unreadable: func(path string, _ error) {
				if path == "strange" {
					stop()
				}
			},
		}, wire.CommitRequest{})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted: %v", err)
		}
		for range 2 {
			var bad []string
			res := taken(t, s, Options{Root: dir, Cache: cache, Unreadable: func(path string, _ error) { bad = append(bad, path) }})
			if len(bad) != 4 {
				t.Errorf("%s: reported %q", attr, bad)
			}
			withoutMarks(t, inSnapshot(t, s.Source(), res.Root), onDisk(t, dir), attr)
		}
	}
}

// A root that is a placeholder makes no snapshot, rather than one of nothing.
func TestRootIsPlaceholder(t *testing.T) {
	for _, attr := range marks {
		dir, s := t.TempDir(), remotetest.New(t)
		m := backing.Mark{Tree: chunk.Sum(nil)}
		must(t, unix.Setxattr(dir, attr, m.Encode(), 0))
		_, err := Snapshot(t.Context(), s.Client("laptop"), Options{Root: dir, CVD: "desk", Now: later}, wire.CommitRequest{})
		if !errors.Is(err, ErrPlaceholder) {
			t.Errorf("%s: %v", attr, err)
		}
	}
}
