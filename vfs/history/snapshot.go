package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/fetch"
)

// snapshot is one that was heard of.
type snapshot struct {
	cvd.Snapshot
	// asked is when it was last said to be there. Guarded by History.mu.
	asked time.Time
	links links
}

// note keeps what the server said of a snapshot.
func (h *History) note(s cvd.Snapshot, at time.Time) *snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.known[s.Name()]
	if known == nil {
		known = &snapshot{Snapshot: s}
		h.known[s.Name()] = known
	}
	known.asked = at
	return known
}

// lookup returns what is known of a snapshot, nil for nothing, and whether it is Fresh.
func (h *History) lookup(name string) (s *snapshot, fresh bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s = h.known[name]; s != nil {
		fresh = time.Since(s.asked) < Fresh
	}
	return s, fresh
}

// drop forgets the snapshots that stays does not want kept.
func (h *History) drop(stays func(*snapshot) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, s := range h.known {
		if !stays(s) {
			delete(h.known, name)
		}
	}
}

// callable is what may stand for a snapshot besides its name: programs look for
// all kinds of files everywhere, and the server need not be asked for those.
var callable = regexp.MustCompile(`^(latest|[0-9a-fA-F]{1,16})$`)

// find finds a snapshot by what a person calls it.
func (h *History) find(ctx context.Context, name string) (*snapshot, error) {
	s, fresh := h.lookup(name)
	if fresh {
		return s, nil
	}
	if s == nil && !callable.MatchString(cvd.SnapshotRef(name)) {
		return nil, fmt.Errorf("%w: %q is no snapshot's name", fs.ErrNotExist, name)
	}
	asked := time.Now()
	var got cvd.Snapshot
	err := h.sched.Ask(ctx, func(ctx context.Context) (err error) {
		got, err = h.list.Snapshot(ctx, name)
		return err
	})
	switch {
	case err == nil && cvd.SnapshotRef(name) != name && got.Name() != name:
		return nil, fmt.Errorf("%w: snapshot %s was not taken at the time that %q says", fs.ErrNotExist, got.ID, name)
	case err == nil:
		return h.note(got, asked), nil
	case errors.Is(err, fs.ErrNotExist):
		h.drop(func(other *snapshot) bool { return other != s })
	case s != nil && errors.Is(err, fetch.ErrOffline): // what is known serves, and is not asked for again at once
		return h.note(s.Snapshot, time.Now()), nil
	}
	return nil, err
}

// all lists the snapshots, oldest first.
func (h *History) all(ctx context.Context) ([]*snapshot, error) {
	asked := time.Now()
	var got []cvd.Snapshot
	err := h.sched.Ask(ctx, func(ctx context.Context) (err error) {
		got, err = h.list.Snapshots(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]*snapshot, len(got))
	there := map[*snapshot]bool{}
	for i := range got {
		out[i] = h.note(got[i], asked)
		there[out[i]] = true
	}
	h.drop(func(s *snapshot) bool { return there[s] })
	slices.SortFunc(out, func(a, b *snapshot) int { return strings.Compare(a.Name(), b.Name()) })
	return out, nil
}

// Top is the directory of all snapshots. Its time is the latest snapshot's, as far as they are known.
func (h *History) Top() *Entry {
	top := &Entry{Entry: cvd.Entry{Name: Name, Type: cvd.Dir, Mode: 0o755}, Ino: topIno}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.known {
		if t := cvd.TimeOf(s.Taken); t.Sec > top.Mtime.Sec {
			top.Mtime = t
		}
	}
	return top
}

// snapshot is what Top holds under name: under a snapshot's own name its
// tree, and under whatever else stands for it a symlink to that.
func (h *History) snapshot(ctx context.Context, name string) (*Entry, error) {
	s, err := h.find(ctx, name)
	if err != nil {
		return nil, err
	}
	taken := cvd.TimeOf(s.Taken)
	if own := s.Name(); name != own {
		e := cvd.Entry{Name: name, Type: cvd.Symlink, Target: own, Mode: 0o777, Mtime: taken}
		return &Entry{Entry: e, Ino: number(topIno, name+"/"+own)}, nil
	}
	plain, err := h.chunk(ctx, chunk.ID(s.Root))
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", s.Root, err)
	}
	top, err := cvd.DecodeRoot(plain)
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", s.Root, err)
	}
	top.Name, top.Mtime = name, taken
	return &Entry{Entry: *top, Ino: number(topIno, name), of: s}, nil
}
