package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/remote/remotetest"
)

// begin streams to a target, has do work there while it is shown, and interrupts it.
func begin(t *testing.T, state, target string, do func()) {
	t.Helper()
	a := &app{dir: state}
	d, err := openDevice(state)
	mustDo(t, err)
	c, err := d.client(remote.Limits{}, nil)
	mustDo(t, err)
	defer c.Close()
	ctx, stop := context.WithCancel(t.Context())
	shown := make(chan struct{})
	s := &streaming{app: a, cvd: "desk", target: target, noPivot: true, showing: showing{deadline: time.Second}, client: c, shown: a.shown(), show: func(st status) {
		if st.Phase == phaseFilled && ctx.Err() == nil {
			select {
			case <-shown:
			default:
				close(shown)
			}
		}
	}}
	ended := make(chan error, 1)
	go func() {
		_, err := s.run(ctx)
		ended <- err
	}()
	select {
	case <-shown:
		do()
	case err := <-ended:
		t.Fatal("it ended: ", err)
	}
	stop()
	<-ended
}

// A stream is given up only while it is not shown, and not if that loses what was changed; then nothing of it is left.
func TestForget(t *testing.T) {
	s := remotetest.New(t)
	state, _ := desk(t, s)
	at := t.TempDir()
	target := filepath.Join(at, "desk")
	fails(t, exit.NotFound, "nothing is streamed", state, "forget", target)
	begin(t, state, target, func() {
		fails(t, exit.Conflict, "end that first", state, "forget", target)
	})
	fails(t, exit.Conflict, "looming forget", state, "stream", "--cvd", "other", target)
	var all []status
	ok(t, &all, state, "status")
	if len(all) != 1 || all[0].Phase != phaseStopped || all[0].BytesDone != all[0].BytesTotal || all[0].Started.IsZero() {
		t.Errorf("stopped: %+v", all)
	}
	var doc forgotten
	ok(t, &doc, state, "forget", target)
	if doc.Target != target || doc.Work != filepath.Join(at, ".desk.looming") {
		t.Errorf("%+v", doc)
	}
	begin(t, state, target, func() {
		mustDo(t, os.WriteFile(filepath.Join(target, "sub", "f"), []byte("mine"), 0o644))
		mustDo(t, os.WriteFile(filepath.Join(target, "sub", "mine"), nil, 0o644))
		mustDo(t, os.Remove(filepath.Join(target, "g")))
	})
	fails(t, exit.Conflict, "g (deleted), sub/f (changed), sub/mine (new)", state, "forget", target)
	ok(t, &doc, state, "forget", "--lose-changes", target)
	ok(t, &all, state, "status")
	names, err := os.ReadDir(at)
	if err != nil || len(names) != 1 || len(all) != 0 {
		t.Errorf("left: %v, %+v, %v", names, all, err)
	}
}
