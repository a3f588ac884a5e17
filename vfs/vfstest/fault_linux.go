package vfstest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// faulty is a desktop of which single chunks can be spoilt: a file of one chunk,
// one of many, a directory, and one of each that is well.
func faulty(w *World) (tr *Tree, spoil []chunk.ID) {
	tr = NewTree(w.T)
	tr.AddFile("single", Body(50_000, 1), 1)
	tr.AddFile("ranged", Body(500_000, 2), 100_000)
	tr.AddFile("dir/below", Body(6000, 3), 1)
	tr.AddFile("well/single", Body(50_000, 4), 1)
	tr.AddFile("well/ranged", Body(500_000, 5), 100_000)
	tr.Finish()
	return tr, []chunk.ID{tr.Want["single"].Content.ID, tr.Want["ranged"].Content.Chunks[2].ID, tr.Want["dir"].Tree}
}

// fails opens or reads what cannot come, and wants errno; whatever is read is right.
func (w *World) fails(what string, errno syscall.Errno) {
	w.Helper()
	for p, body := range map[string][]byte{"single": Body(50_000, 1), "ranged": Body(500_000, 2)} {
		w.want(what+": reading "+p, CheckBody(w.Sys, p, body), errno)
	}
	_, err := w.Sys.ReadDir("dir")
	w.want(what+": listing", err, errno)
	_, err = w.Sys.Lstat("dir/below")
	w.want(what+": looking below", err, errno)
	w.want(what+": removing what is not listed", w.Sys.Rmdir("dir"), errno)
	w.want(what+": truncating a file that is not here", w.Sys.Truncate("single", 10), errno)
}

func (w *World) well(what string) {
	w.Helper()
	for _, p := range []string{"well/single", "well/ranged"} {
		if err := CheckBody(w.Sys, p, w.Tree.Want[p].Body); err != nil {
			w.Errorf("%s: %s: %v", what, p, err)
		}
	}
	w.readAt("ranged", w.Tree.Want["ranged"].Body, 0, 80_000) // pages of chunks that are well
}

// damagedAndLost: a chunk that is damaged, missing or short is an EIO, never
// bytes that are not the file's (invariants 3 and 4); the rest works, and so does
// the file once the chunk is well.
func damagedAndLost(w *World) {
	tr, spoil := faulty(w)
	w.Begin(tr)
	for what, fault := range map[string]Fault{"damaged": Damaged, "lost": Lost, "short": Short} {
		for _, id := range spoil {
			w.Source.SetFor(id, fault)
			w.Bulk.SetFor(id, fault)
		}
		w.fails(what, syscall.EIO)
		w.well(what)
		files := []string{"single", "ranged"}
		for i, err := range w.FS.Fill(context.Background(), files) {
			if err == nil {
				w.Errorf("%s: filling %s says nothing", what, files[i])
			}
		}
		if err := w.FS.ListAll(context.Background(), func() {}); err == nil {
			w.Errorf("%s: listing all says nothing", what)
		}
	}
	for _, id := range spoil {
		w.Source.SetFor(id, Whole)
		w.Bulk.SetFor(id, Whole)
	}
	w.Check(w.Sys)
	w.Reopen()
	w.Finish()
}

// cutAndBack: a link that is cut is an error that says so, in time; when it is
// back, so is everything.
func cutAndBack(w *World) {
	w.Deadline = 300 * time.Millisecond
	tr, spoil := faulty(w)
	w.Begin(tr)
	for _, id := range spoil {
		w.Source.SetFor(id, Cut)
		w.Bulk.SetFor(id, Cut)
	}
	w.fails("cut", syscall.ENETUNREACH)
	w.well("cut")
	if err := w.FS.ListAll(context.Background(), func() {}); err == nil {
		w.Error("listing all says nothing")
	}
	for _, id := range spoil {
		w.Source.SetFor(id, Whole)
		w.Bulk.SetFor(id, Whole)
	}
	w.Check(w.Sys)
	w.Finish()
}

// deadSource: where nothing answers, readers get their error within the deadline,
// what is here works at once, writes too, and a link that is back is used.
func deadSource(w *World) {
	w.Deadline = 400 * time.Millisecond
	tr, _ := faulty(w)
	w.Begin(tr)
	w.fill([]string{"well/single"})
	w.must(CheckBody(w.Sys, "well/ranged", tr.Want["well/ranged"].Body))
	w.readAt("ranged", tr.Want["ranged"].Body, 0, 1000)
	w.Source.Set(Dead)
	w.Bulk.Set(Dead)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			w.want("dead: reading", CheckBody(w.Sys, "single", tr.Want["single"].Body), syscall.ENETUNREACH)
		})
	}
	all.Wait()
	w.well("dead")
	if w.FS.Offline() == nil && w.FS.Waiting() != 0 {
		w.Errorf("%d still wait", w.FS.Waiting())
	}
	f, err := w.Sys.Open("new", os.O_RDWR|os.O_CREATE, 0o644)
	w.must(err)
	_, err = f.WriteAt([]byte("offline"), 0)
	w.must(err)
	w.must(f.Close())
	n := tr.Add("new", cvd.Entry{Type: cvd.File, Mode: 0o644})
	n.Body, n.Touched, tr.Want[""].Touched = []byte("offline"), true, true
	f, err = w.Sys.Open("ranged", os.O_RDWR, 0)
	w.must(err)
	_, err = f.WriteAt([]byte("offline"), 250_000)
	w.must(err)
	w.must(f.Close())
	copy(tr.Want["ranged"].Body[250_000:], "offline")
	tr.Want["ranged"].Touched = true
	w.Source.Set(Whole)
	w.Bulk.Set(Whole)
	w.Check(w.Sys)
	w.Reopen()
	w.Finish()
}

// slowSource: many readers of the same slow bytes all get them, and a demand does
// not wait for the background (invariant 5).
func slowSource(w *World) {
	tr := NewTree(w.T)
	body := Body(600_000, 1)
	tr.AddFile("f", body, 100_000)
	tr.AddFile("other", Body(50_000, 2), 1)
	w.Begin(tr)
	w.Source.Delay(5 * time.Millisecond)
	w.Bulk.Set(Dead)
	ctx, end := context.WithCancel(context.Background())
	var back, all sync.WaitGroup
	back.Go(func() { w.FS.Fill(ctx, []string{"other", "f"}) })
	for range 8 {
		all.Go(func() {
			if err := CheckBody(w.Sys, "f", body); err != nil {
				w.Error(err)
			}
			if err := CheckBody(w.Sys, "other", Body(50_000, 2)); err != nil {
				w.Error(err)
			}
		})
	}
	all.Wait()
	end()
	back.Wait()
	w.Bulk.Set(Whole)
	w.Finish()
}

// reader starts a program that reads a file of the mount, and returns when it waits.
func (w *World) reader(script string) *exec.Cmd {
	w.Helper()
	cmd := exec.Command("sh", "-c", script, "sh", filepath.Join(w.Mount(), "single"))
	cmd.Stderr = os.Stderr
	w.must(cmd.Start())
	w.Cleanup(func() { _ = cmd.Process.Kill() })
	w.waitFor("a demand", func() bool { return w.FS.Waiting() > 0 })
	return cmd
}

// waitFor polls for what has no event, and gives up after a long while.
func (w *World) waitFor(what string, ok func() bool) {
	w.Helper()
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for end := time.Now().Add(20 * time.Second); !ok(); <-t.C {
		if time.Now().After(end) {
			w.Fatalf("there was no %s", what)
		}
	}
}

// killedReader: who waits for a dead source can be killed, long before the deadline.
func killedReader(w *World) {
	w.Deadline = time.Hour
	tr, _ := faulty(w)
	w.Begin(tr)
	_, err := w.Sys.ReadDir("")
	w.must(err)
	w.Source.Set(Dead)
	cmd := w.reader(`exec cat "$1"`)
	w.must(cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		w.Error("the reader ended well")
	}
	w.waitFor("end of the demand", func() bool { return w.FS.Waiting() == 0 })
	w.Source.Set(Whole)
	w.Finish()
}

// disturbedReader: signals that a program handles do not end its read.
func disturbedReader(w *World) {
	w.Deadline = time.Hour
	tr, _ := faulty(w)
	w.Begin(tr)
	_, err := w.Sys.ReadDir("")
	w.must(err)
	id := tr.Want["single"].Content.ID
	w.Source.SetFor(id, Dead)
	out := filepath.Join(w.dir, "out")
	cmd := w.reader(fmt.Sprintf(`trap : USR1 CHLD WINCH; read -r line < "$1"; echo $? > %s`, out))
	for range 20 {
		for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGCHLD, syscall.SIGWINCH} {
			w.must(cmd.Process.Signal(s))
		}
		time.Sleep(10 * time.Millisecond) // a signal needs to be delivered before the next counts
	}
	if w.FS.Waiting() == 0 {
		w.Error("a signal ended the wait")
	}
	w.must(cmd.Process.Kill())
	_ = cmd.Wait()
	w.Source.SetFor(id, Whole)
	w.Finish()
}
