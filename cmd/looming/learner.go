package main

import (
	"context"
	"errors"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/looming-project/looming/prefetch"
	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
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
	switch {
	case u.Dir:
		l.rec.Listed(u.Path, u.User)
	case u.N > 0:
		l.rec.Read(u.Path, u.User, u.Off, u.N)
	default:
		l.rec.Opened(u.Path, u.User, u.Watched)
	}
}

// known is the server's tally with what was learnt here.
func (l *learner) known(ctx context.Context, now time.Time) *prefetch.Tally {
	t := l.remote(ctx)
	t.Prune(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Merge(l.own)
	return t
}

func (l *learner) remote(ctx context.Context) *prefetch.Tally {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	b, err := l.client.Tally(ctx, l.cvd)
	if err == nil && len(b) > 0 {
		var t *prefetch.Tally
		if t, err = prefetch.Decode(b); err == nil {
			return t
		}
	}
	if err != nil {
		slog.Warn("no tally from the server: the order is a guess", "err", err)
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

// send adds what was learnt here to the desktop's tally on the server, once: the
// record starts anew then.
func (l *learner) send(ctx context.Context) error {
	if err := l.keep(); err != nil {
		return err
	}
	t := l.remote(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Merge(l.own)
	t.Trim()
	if err := l.client.PutTally(ctx, l.cvd, t.Encode()); err != nil {
		return err
	}
	l.own = &prefetch.Tally{}
	return l.keepLocked()
}

// run keeps the record until ctx ends.
func (l *learner) run(ctx context.Context) error {
	return every(ctx, 20*time.Second, func() {
		if err := l.keep(); err != nil {
			slog.Warn("the record of use was not kept", "err", err)
		}
	})
}

// end sends the record for the last time; nothing is written beside the desktop any more.
func (l *learner) end(ctx context.Context) {
	switch err := l.send(ctx); {
	case errors.Is(err, wire.ErrDenied): // the desktop is another device's, which keeps its tally
		slog.Debug("the record of use is not this device's to send", "err", err)
	case err != nil:
		slog.Warn("the record of use was not sent, and is kept here", "err", err)
	}
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
}
