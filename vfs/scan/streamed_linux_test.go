package scan

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/remote/remotetest"
	"github.com/looming-project/looming/vfs/wire"
	"golang.org/x/sys/unix"
)

// mark is the attribute of these tests' placeholders.
const mark = "trusted.looming"

// shown stands for the process that shows a desktop: what is looked into becomes native.
type shown struct {
	Streamed
	dir     string
	content map[string][]byte

	// mu guards brought.
	mu      sync.Mutex
	brought []string
}

func (s *shown) Bring(path string) error {
	s.mu.Lock()
	s.brought = append(s.brought, path)
	s.mu.Unlock()
	at := filepath.Join(s.dir, path)
	if body, ok := s.content[path]; ok {
		if err := os.WriteFile(at, body, 0o644); err != nil {
			return err
		}
	} else if err := os.WriteFile(filepath.Join(at, "inner"), []byte("inner"), 0o644); err != nil {
		return err
	}
	return unix.Removexattr(at, mark)
}

// placeholder makes a file of holes that stands for m.
func placeholder(t *testing.T, path string, size int, m backing.Mark) {
	t.Helper()
	must(t, os.WriteFile(path, nil, 0o644))
	must(t, os.Truncate(path, int64(size)))
	must(t, unix.Setxattr(path, mark, m.Encode(), 0))
}

// Placeholders are known by what they stand for, and are not read. What their user began to change is brought first,
// and directories are listed; without a hook none of it is taken for its holes.
func TestPlaceholders(t *testing.T) {
	dir, s := t.TempDir(), remotetest.New(t)
	content := random(5, 70_000)
	id := s.Put("laptop", content)
	caps := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	is := backing.Mark{Size: 70_000, Content: cvd.Content{ID: id}, Sparse: true, Caps: caps, Mtime: cvd.Time{Sec: 1_000_000_001, Nsec: 7}, Timed: true}
	changing := backing.Mark{Size: 140_000, Content: cvd.Content{ID: chunk.Sum(nil), Chunks: []cvd.Ref{{ID: id, Size: 70_000}, {ID: id, Size: 70_000}}}, Tag: 1}
	cut := backing.Mark{Size: 80_000, Content: cvd.Content{ID: id}, Timed: true}
	placeholder(t, filepath.Join(dir, "file"), 70_000, is)
	placeholder(t, filepath.Join(dir, "changing"), 140_000, changing)
	placeholder(t, filepath.Join(dir, "cut"), 70_000, cut)
	for name, m := range map[string]backing.Mark{"dir": {Tree: id}, "before": {Tree: id, Listed: backing.Boot() + 2}, "listed": {Tree: id, Listed: backing.Boot()}} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		must(t, unix.Setxattr(filepath.Join(dir, name), mark, m.Encode(), 0))
	}
	t.Run("WithoutHook", func(t *testing.T) {
		var refused []string
		_, err := Snapshot(t.Context(), s.Client("laptop"), Options{
			Root: dir, CVD: "desk", Unreadable: func(path string, err error) {
				if refused = append(refused, path); !errors.Is(err, ErrPlaceholder) {
					t.Errorf("%s: %v", path, err)
				}
			},
		}, wire.CommitRequest{})
		must(t, err)
		if len(refused) != 6 {
			t.Errorf("refused: %q", refused)
		}
	})
	hook := &shown{dir: dir, content: map[string][]byte{"changing": random(6, 140_000), "cut": content[:100]}}
	cache := t.TempDir()
	for n := range 2 {
		var count Counters
		res := taken(t, s, Options{Root: dir, Placeholders: hook, Count: &count, Cache: cache})
		if read := count.BytesRead.Load(); n == 0 && read > 2*(140_000+100+10) || n == 1 && read > 0 {
			t.Errorf("snapshot %d read %d bytes", n, read)
		}
		files := map[string]*cvd.Entry{}
		top, err := cvd.ReadRoot(t.Context(), s.Source(), res.Root)
		must(t, err)
		must(t, cvd.ReadDir(context.Background(), s.Source(), top.Tree, func(e *cvd.Entry) error {
			one := *e
			files[e.Name] = &one
			return nil
		}))
		f := files["file"]
		if f == nil || f.Content.ID != id || !f.Sparse || f.Mtime != is.Mtime || len(f.Xattrs) != 1 || !bytes.Equal(f.Xattrs[0].Value, caps) {
			t.Errorf("snapshot %d has %+v", n, f)
		}
		if files["cut"].Size != 100 || files["changing"].Content.ID != chunk.Sum(hook.content["changing"]) {
			t.Errorf("snapshot %d: cut %+v, changing %+v", n, files["cut"], files["changing"])
		}
		if files["dir"].Sums.Files != 1 || files["before"].Sums.Files != 1 || files["listed"].Sums.Files != 0 {
			t.Errorf("snapshot %d: %+v, %+v, %+v", n, files["dir"], files["before"], files["listed"])
		}
	}
	slices.Sort(hook.brought)
	if !slices.Equal(hook.brought, []string{"before", "changing", "cut", "dir"}) {
		t.Errorf("brought: %q", hook.brought)
	}
}
