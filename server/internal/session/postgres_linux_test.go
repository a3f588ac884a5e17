package session

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/looming-project/looming/server/internal/pgrun"
	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/wire"
)

// Invariant 2: Postgres killed at any moment of an upload costs no acknowledged chunk; what could not be acknowledged is
// said to be worth repeating, and goes through once it is back.
func TestKilledPostgres(t *testing.T) {
	dir := filepath.Join(pgtest.Dir(t), "postgres")
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan string, 16), make(chan error, 1)
	o := pgrun.Options{Dir: dir, Log: slog.New(slog.DiscardHandler), Settings: map[string]string{"shared_buffers": "32MB"}}
	go func() { ended <- pgrun.Run(ctx, o, func(dsn string) { ready <- dsn }) }()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
	})
	var w *world
	select {
	case dsn := <-ready:
		w = openWorld(t, dsn, t.TempDir(), Options{})
	case err := <-ended:
		t.Fatal(err)
	}
	w.device(t)
	d := makeDesktop(t, 1, 20)
	session := w.begin(t, 1, "desk")
	rnd := newRand()
	unavailable, kills := 0, 0
	for i := 0; i < len(d.order); {
		ids := d.order[i:min(i+25, len(d.order))]
		if kills < 5 && i >= kills*len(d.order)/5 {
			kills++
			time.AfterFunc(time.Duration(rnd.IntN(30))*time.Millisecond, func() { killPostmaster(t, dir) })
		}
		_, err := w.Upload(t.Context(), 1, session, bytes.NewReader(d.body(ids)), -1)
		switch {
		case err == nil:
			w.acknowledged(t, session, ids)
			i += len(ids)
		case errors.Is(err, wire.ErrUnavailable):
			unavailable++
			time.Sleep(50 * time.Millisecond)
		default:
			t.Fatalf("with the database killed: %v, want unavailable", err)
		}
	}
	if unavailable == 0 {
		t.Error("no upload met the killed database")
	}
	w.acknowledged(t, session, d.order)
	w.commit(t, 1, session, d)
	w.nothingLeft(t)
	if got := w.fetch(t, 1, d, d.order); count(got, wire.FrameOK) != len(d.order) {
		t.Errorf("%d of %d chunks are whole", count(got, wire.FrameOK), len(d.order))
	}
}

// acknowledged expects chunks to be present, as soon as the database answers.
func (w *world) acknowledged(t *testing.T, session string, ids []chunk.ID) {
	t.Helper()
	for {
		haves, err := w.Have(t.Context(), 1, session, ids)
		if errors.Is(err, wire.ErrUnavailable) {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		must(t, err)
		for i, h := range haves {
			if h != wire.Present {
				t.Fatalf("chunk %d was acknowledged and is %d", i, h)
			}
		}
		return
	}
}

// killPostmaster kills the cluster's first process, as its file says, with all its children by losing their parent.
func killPostmaster(t *testing.T, dir string) {
	b, err := os.ReadFile(filepath.Join(dir, "cluster", "postmaster.pid"))
	if err != nil {
		return // it is down already
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid <= 1 {
		t.Errorf("postmaster.pid says %q", first)
		return
	}
	_ = syscall.Kill(pid, syscall.SIGKILL) // or it died just now
}
