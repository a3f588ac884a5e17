package main

import (
	"context"
	"errors"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/prefetch"
	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/remote"
)

// tallyFile is where the use of a desktop is kept beside its backing directory.
const tallyFile = "tally"

// learner keeps the record of what is used: on this disk, and with the desktop on
// the server, from where the next machine learns.
type learner struct {
	client *remote.Client
	cvd    string
	path   string
	rec    *prefetch.Recorder
	plan   atomic.Pointer[prefetch.Plan]

	mu    sync.Mutex
	own   *prefetch.Tally
	ended bool
}

func newLearner(c *remote.Client, cvd, path string) *learner {
	return &learner{
		client: c, cvd: cvd, path: path, own: readTally(path),
		rec: prefetch.NewRecorder(prefetch.RecorderOptions{Machine: machine()}),
	}
}

// machine names this machine in traces.
func machine() uint64 {
	host, _ := os.Hostname() // machines without a name are one
	h := fnv.New64a()
	_, _ = h.Write([]byte(host))
	return h.Sum64()
}

func readTally(path string) *prefetch.Tally {
	b, err := os.ReadFile(path)
	if err == nil {
		var t *prefetch.Tally
		if t, err = prefetch.Decode(b); err == nil {
			t.Prune(time.Now())
			return t
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		slog.Warn("what was learnt about this desktop cannot be read, and is learnt again", "path", path, "err", err)
	}
	return &prefetch.Tally{}
}

// used notes what the file system tells.
func (l *learner) used(u vfs.Use) {
	if p := l.plan.Load(); p != nil && !u.Dir {
		p.Used(u.Path)
	}
	switch {
	case u.Dir:
		l.rec.Listed(u.Path, u.User)
	case u.N > 0:
		l.rec.Read(u.Path, u.User, u.Off, u.N)
	default:
		l.rec.Opened(u.Path, u.User, u.Watched)
	}
}

// known is the server's tally with what was learnt here. Where neither tells of a start, it is with what is used on others.
func (l *learner) known(ctx context.Context, now time.Time) *prefetch.Tally {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	t := fetchTally("no tally from the server: the order is a guess", func() ([]byte, error) { return l.client.Tally(ctx, l.cvd) })
	l.mu.Lock()
	t.Merge(l.own)
	l.mu.Unlock()
	if len(t.Traces()) == 0 {
		t.Merge(fetchTally("the server does not say what is used elsewhere", func() ([]byte, error) { return l.client.Popularity(ctx) }))
	}
	t.Prune(now)
	return t
}

// fetchTally decodes what get returns; without it, it is empty and the order a guess.
func fetchTally(without string, get func() ([]byte, error)) *prefetch.Tally {
	b, err := get()
	if err == nil && len(b) > 0 {
		var t *prefetch.Tally
		if t, err = prefetch.Decode(b); err == nil {
			return t
		}
	}
	if err != nil {
		slog.Warn(without, "err", err)
	}
	return &prefetch.Tally{}
}

// keep writes the record to this disk.
func (l *learner) keep() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keepLocked()
}

func (l *learner) keepLocked() error {
	if l.ended {
		return nil
	}
	l.rec.Flush(l.own)
	return durable.WriteFile(l.path, l.own.Encode(), 0o600)
}

// send has the server add what was learnt here, once: the record starts anew then.
func (l *learner) send(ctx context.Context) error {
	if err := l.keep(); err != nil {
		return err
	}
	l.mu.Lock()
	sent := l.own
	l.own = &prefetch.Tally{}
	l.mu.Unlock()
	err := l.client.AddTally(ctx, l.cvd, sent.Encode())
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		sent.Merge(l.own)
		l.own = sent
		return err
	}
	return l.keepLocked()
}

// How often the record is kept here, and sent.
const (
	keepEvery = 20 * time.Second
	sendEvery = time.Hour
)

// run keeps the record until ctx ends, and sends it now and then.
func (l *learner) run(ctx context.Context) error {
	sent := time.Now()
	return every(ctx, keepEvery, func() {
		if err := l.keep(); err != nil {
			slog.Warn("the record of use was not kept", "err", err)
		}
		if now := time.Now(); now.Sub(sent) >= sendEvery {
			sent = now
			l.tell(ctx)
		}
	})
}

// tell sends the record, or leaves it for later.
func (l *learner) tell(ctx context.Context) {
	if err := l.send(ctx); err != nil {
		slog.Warn("the record of use was not sent, and is kept here", "err", err)
	}
}

// end sends the record for the last time; nothing is written beside the desktop any more.
func (l *learner) end(ctx context.Context) {
	l.tell(ctx)
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
}
