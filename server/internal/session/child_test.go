package session

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// Variables of a child process that plays a server.
const (
	childDSN     = "LOOMING_TEST_DSN"
	childVolume  = "LOOMING_TEST_VOLUME"
	childSession = "LOOMING_TEST_SESSION"
)

// runChild is a server in a process of its own: it takes uploads, each a length line and a body, from its
// standard input, two at a time, and says on its standard output which it acknowledged.
func runChild() bool {
	dsn := os.Getenv(childDSN)
	if dsn == "" {
		return false
	}
	if err := serveChild(dsn); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func serveChild(dsn string) error {
	ctx := context.Background()
	db, err := postgres.Open(ctx, dsn)
	if err != nil {
		return err
	}
	s, err := Open(ctx, db, Options{Volumes: []string{os.Getenv(childVolume)}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	var mu sync.Mutex
	var all sync.WaitGroup
	places := make(chan struct{}, 2)
	for n := 0; ; n++ {
		var size int
		if _, err := fmt.Fscanf(in, "%d\n", &size); err != nil {
			break
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(in, body); err != nil {
			break
		}
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			reply, err := s.Upload(ctx, 1, os.Getenv(childSession), strings.NewReader(string(body)), int64(size))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				fmt.Fprintln(os.Stderr, "upload:", err)
				return
			}
			fmt.Printf("acknowledged %d %d\n", n, reply.Chunks)
		})
	}
	all.Wait()
	return nil
}

// Invariant 2: a server killed at any moment of its uploads has lost nothing that it acknowledged, and what it did not
// acknowledge does no harm.
func TestKilledServer(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 60)
	session := w.begin(t, 1, "desk")
	rnd := newRand()
	const part = 30
	for round := range 8 {
		acked := w.killedWhileUploading(t, session, d, part, time.Duration(rnd.IntN(150))*time.Millisecond)
		var ids []chunk.ID
		for _, n := range acked {
			ids = append(ids, d.order[n*part:min((n+1)*part, len(d.order))]...)
		}
		if got := w.fetch(t, 1, d, ids); count(got, wire.FrameOK) != len(got) {
			t.Fatalf("round %d: %d of %d acknowledged chunks are there", round, count(got, wire.FrameOK), len(got))
		}
		haves, err := w.Have(t.Context(), 1, session, d.order)
		must(t, err)
		var present []chunk.ID
		for i, h := range haves {
			if h == wire.Present {
				present = append(present, d.order[i])
			}
		}
		if got := w.fetch(t, 1, d, present); count(got, wire.FrameOK) != len(got) {
			t.Fatalf("round %d: of %d chunks said to be present only %d are whole", round, len(got), count(got, wire.FrameOK))
		}
	}
	w.upload(t, 1, session, d)
	w.commit(t, 1, session, d)
	w.nothingLeft(t)
	if got := w.fetch(t, 1, d, d.order); count(got, wire.FrameOK) != len(d.order) {
		t.Errorf("%d of %d chunks are whole", count(got, wire.FrameOK), len(d.order))
	}
}

// killedWhileUploading sends parts of the desktop to a server of its own, kills it after a while, and says which parts it acknowledged.
func (w *world) killedWhileUploading(t *testing.T, session string, d *desktop, part int, after time.Duration) (acked []int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDSN+"="+w.dsn, childVolume+"="+w.volume, childSession+"="+session)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	go func() {
		defer in.Close()
		for i := 0; i < len(d.order); i += part {
			b := d.body(d.order[i:min(i+part, len(d.order))])
			if _, err := fmt.Fprintf(in, "%d\n%s", len(b), b); err != nil {
				return // killed
			}
		}
	}()
	lines := bufio.NewScanner(out)
	var kill sync.Once
	for lines.Scan() {
		var n, chunks int
		if _, err := fmt.Sscanf(lines.Text(), "acknowledged %d %d", &n, &chunks); err == nil {
			acked = append(acked, n)
		}
		kill.Do(func() { time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) })
	}
	_ = cmd.Wait() // killed, or done before
	return acked
}

// nothingLeft sweeps and expects no unfinished pack and no temporary file.
func (w *world) nothingLeft(t *testing.T) {
	t.Helper()
	must(t, w.Sweep(t.Context()))
	var unsettled int
	must(t, w.sql.QueryRow(`select count(*) from packs where state <> 1`).Scan(&unsettled))
	left, err := filepath.Glob(filepath.Join(w.volume, "incoming", "*"))
	must(t, err)
	if unsettled > 0 || len(left) > 0 {
		t.Errorf("after sweeping %d packs are unsettled and %v is left", unsettled, left)
	}
	var live int
	must(t, w.sql.QueryRow(`select count(*) from packs`).Scan(&live))
	if files := w.packsOf(t); len(files) != live {
		t.Errorf("%d files of packs, %d in the database", len(files), live)
	}
}

// What an upload left behind stays while its session is open, and goes when it is closed.
func TestSweep(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 3)
	session := w.begin(t, 1, "desk")
	sess, err := w.use(t.Context(), 1, session)
	must(t, err)
	// One upload dies while it writes, one between its pack and the index.
	u := &upload{s: w.Service, sess: sess, ctx: t.Context(), length: -1, renewed: time.Now()}
	must(t, u.open())
	v := &upload{s: w.Service, sess: sess, ctx: t.Context(), length: -1, renewed: time.Now()}
	must(t, v.open())
	_, err = v.w.Seal()
	must(t, err)
	must(t, w.Sweep(t.Context()))
	if left, _ := filepath.Glob(filepath.Join(w.volume, "incoming", "*", "*")); len(left) != 1 || len(w.packsOf(t)) != 1 {
		t.Fatalf("a sweep took what an open session writes: left %v and %v", left, w.packsOf(t))
	}
	w.upload(t, 1, session, d)
	must(t, w.Abandon(t.Context(), 1, session))
	w.nothingLeft(t)
	// What comes too late is refused, not half believed.
	if _, err := w.db.IndexPack(t.Context(), sess, v.pack, 0, nil, setOf); err == nil {
		t.Error("a pack that was swept away came into the index")
	}
}

// Two servers take one desktop in one session and two desktops at once, and neither waits for the other in a circle.
func TestTwoServers(t *testing.T) {
	w := newWorld(t, Options{})
	other := openWorld(t, w.dsn, w.volume, Options{})
	d := makeDesktop(t, 1, 12)
	session, second := w.begin(t, 1, "desk"), w.begin(t, 2, "desk of another")
	var all sync.WaitGroup
	for i, server := range []*world{w, other, w, other} {
		all.Go(func() {
			device, id := int64(1), session
			if i >= 2 {
				device, id = 2, second
			}
			for k := 0; k < len(d.order); k += 100 {
				ids := append([]chunk.ID{}, d.order[k:min(k+100, len(d.order))]...)
				if i%2 == 1 { // in another order
					for a, b := 0, len(ids)-1; a < b; a, b = a+1, b-1 {
						ids[a], ids[b] = ids[b], ids[a]
					}
				}
				if _, err := server.Upload(t.Context(), device, id, strings.NewReader(string(d.body(ids))), -1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	snaps := make([]cvd.Snapshot, 2)
	all.Go(func() { snaps[0], _ = other.Commit(t.Context(), 1, session, wire.CommitRequest{Root: d.root}) })
	all.Go(func() { snaps[1], _ = w.Commit(t.Context(), 2, second, wire.CommitRequest{Root: d.root}) })
	all.Wait()
	for i, s := range snaps {
		if s.Files != d.sums.Files {
			t.Errorf("snapshot %d: %+v", i, s)
		}
	}
	for device, server := range map[int64]*world{1: w, 2: other} {
		if got := server.fetch(t, device, d, d.order); count(got, wire.FrameOK) != len(d.order) {
			t.Errorf("device %d got %d of %d chunks", device, count(got, wire.FrameOK), len(d.order))
		}
	}
}

// Of many commits of one session at once, one makes the snapshot and all answer with it.
func TestCommitOnce(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 10)
	session := w.begin(t, 1, "desk")
	w.upload(t, 1, session, d)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			_, err := w.Commit(t.Context(), 1, session, wire.CommitRequest{Root: d.root})
			if err != nil && wire.ProblemOf(err).Type != "looming:expired" {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var n int
	must(t, w.sql.QueryRow(`select count(*) from snapshots`).Scan(&n))
	if n != 1 {
		t.Errorf("%d snapshots of one session", n)
	}
}

// Invariant 7: chunks of a condemned pack do not count as present, and a commit that needs them rescues them.
func TestCondemned(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 10)
	session := w.begin(t, 1, "desk")
	w.upload(t, 1, session, d)
	condemn := func() { w.exec(t, `update packs set state = 2, condemned = 1 where id = (select min(id) from packs)`) }
	condemn()
	haves, err := w.Have(t.Context(), 1, w.begin(t, 1, "desk"), d.order)
	must(t, err)
	missing := 0
	for _, h := range haves {
		if h == wire.Missing {
			missing++
		}
	}
	if missing == 0 || missing == len(haves) {
		t.Errorf("%d of %d chunks are missing after one of the packs was condemned", missing, len(haves))
	}
	w.commit(t, 1, session, d) // began before, needs it: rescued
	var condemned int
	must(t, w.sql.QueryRow(`select count(*) from packs where state = 2`).Scan(&condemned))
	if condemned != 0 {
		t.Error("a commit left a pack condemned that it needs")
	}
	condemn()
	if sent := w.upload(t, 2, w.begin(t, 2, "other"), d); sent != len(d.order) {
		t.Errorf("%d chunks went", sent)
	}
	w.exec(t, `delete from chunks where pack_id in (select id from packs where state = 2)`)
	if got := w.fetch(t, 1, d, d.order); count(got, wire.FrameOK) != len(d.order) {
		t.Errorf("after the condemned pack went %d of %d chunks came: an upload takes over the place of condemned chunks",
			count(got, wire.FrameOK), len(d.order))
	}
}
