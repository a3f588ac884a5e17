package session

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// Invariant 8: what one device uploaded does not count for another, until it is proved in that session.
func TestProof(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 8)
	w.centralize(t, 1, "desk", d)
	session := w.begin(t, 2, "other")
	haves, err := w.Have(t.Context(), 2, session, d.order)
	must(t, err)
	for i, h := range haves {
		if h != wire.Unproven {
			t.Fatalf("chunk %d: %d to another device, want unproven", i, h)
		}
	}
	if _, err := w.Commit(t.Context(), 2, session, wire.CommitRequest{Root: d.root}); !errors.Is(err, wire.ErrIncomplete) {
		t.Fatalf("a commit by hashes alone: %v", err)
	}
	unknown := chunk.Sum([]byte("nobody has this"))
	reply, err := w.Prove(t.Context(), 2, session, wire.ProveRequest{IDs: append(d.order[:len(d.order):len(d.order)], unknown)})
	must(t, err)
	if len(reply.Refused) != 1 || reply.Refused[0] != unknown {
		t.Errorf("refused %v, want the unknown chunk", reply.Refused)
	}
	proofs := answers(d, reply.Challenges)
	proofs[0].MAC[5] ^= 1
	proofs[1].MAC = proofs[2].MAC
	checked, err := w.Prove(t.Context(), 2, session, wire.ProveRequest{Proofs: proofs})
	must(t, err)
	if len(checked.Refused) != 2 || checked.Refused[0] != proofs[0].ID || checked.Refused[1] != proofs[1].ID {
		t.Errorf("refused %v, want the two wrong proofs", checked.Refused)
	}
	if got := w.fetch(t, 2, d, []chunk.ID{proofs[0].ID, proofs[5].ID}); got[proofs[0].ID] != wire.FrameMissing || got[proofs[5].ID] != wire.FrameOK {
		t.Errorf("fetch of an unproved and a proved chunk: %v", got)
	}
	_, err = w.Upload(t.Context(), 2, session, bytes.NewReader(d.body(checked.Refused)), -1)
	must(t, err)
	w.commit(t, 2, session, d)
}

func answers(d *desktop, cs []wire.Challenge) []wire.Proof {
	proofs := make([]wire.Proof, len(cs))
	for i, c := range cs {
		proofs[i] = wire.Proof{ID: c.ID, MAC: mac(c.Key, d.chunks[c.ID][c.Offset:c.Offset+c.Length])}
	}
	return proofs
}

// A proof is of use in its own session alone, and in that one at any server.
func TestProofIsNotReplayed(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 3)
	w.centralize(t, 1, "desk", d)
	first := w.begin(t, 2, "other")
	reply, err := w.Prove(t.Context(), 2, first, wire.ProveRequest{IDs: d.order})
	must(t, err)
	proofs := answers(d, reply.Challenges)
	second := w.begin(t, 2, "other")
	replayed, err := w.Prove(t.Context(), 2, second, wire.ProveRequest{Proofs: proofs})
	must(t, err)
	if len(replayed.Refused) != len(proofs) {
		t.Errorf("%d of %d proofs held in another session", len(proofs)-len(replayed.Refused), len(proofs))
	}
	other := openWorld(t, w.dsn, w.volume, Options{})
	good, err := other.Prove(t.Context(), 2, first, wire.ProveRequest{Proofs: proofs})
	must(t, err)
	if len(good.Refused) != 0 {
		t.Errorf("another server refused %d proofs", len(good.Refused))
	}
}

// What one request with proofs has the server read is bounded, and what a session holds is not read again.
func TestProofsAreBounded(t *testing.T) {
	w := newWorld(t, Options{})
	d := &desktop{chunks: chunk.Map{}}
	for i := range proofBytes>>20 + 1 {
		_, err := d.put(bytes.Repeat(fmt.Appendf(nil, "%08d", i), 1<<17)) // 1 MiB
		must(t, err)
	}
	first := w.begin(t, 1, "desk")
	w.upload(t, 1, first, d)
	reads := func(session string, device int64, req wire.ProveRequest) (uint64, error) {
		before := w.Stats().PackBytes
		_, err := w.Prove(t.Context(), device, session, req)
		return w.Stats().PackBytes - before, err
	}
	session := w.begin(t, 2, "other")
	reply, err := w.Prove(t.Context(), 2, session, wire.ProveRequest{IDs: d.order})
	must(t, err)
	proofs := answers(d, reply.Challenges)
	garbage := make([]wire.Proof, 3)
	for i := range garbage {
		garbage[i].ID = d.order[0]
	}
	for name, req := range map[string]wire.ProveRequest{
		"one proof again and again": {Proofs: garbage},
		"one id twice":              {IDs: append(d.order[:1:1], d.order[0])},
		"too many plain bytes":      {Proofs: proofs},
	} {
		if read, err := reads(session, 2, req); !errors.Is(err, wire.ErrInvalid) || read != 0 {
			t.Errorf("%s: %v, and %d bytes were read", name, err, read)
		}
	}
	if read, err := reads(session, 2, wire.ProveRequest{Proofs: proofs[1:]}); err != nil || read == 0 {
		t.Errorf("as many as may be: %v, and %d bytes were read", err, read)
	}
	// All but the first are held now, and the first is within bounds.
	if _, err := reads(session, 2, wire.ProveRequest{Proofs: proofs}); err != nil {
		t.Error(err)
	}
	if read, err := reads(session, 2, wire.ProveRequest{Proofs: proofs}); err != nil || read != 0 {
		t.Errorf("what is held: %v, and %d bytes were read", err, read)
	}
	haves, err := w.Have(t.Context(), 2, session, d.order)
	must(t, err)
	for i, h := range haves {
		if h != wire.Present {
			t.Fatalf("chunk %d is %d after its proof", i, h)
		}
	}
}

// Invariant 8: sessions and desktops of another device are closed to a device.
func TestForeignDevice(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 2)
	session := w.begin(t, 1, "desk")
	ctx := t.Context()
	_, begin := w.Begin(ctx, 2, wire.BeginRequest{CVD: "desk"})
	_, have := w.Have(ctx, 2, session, d.order)
	_, files := w.Files(ctx, 2, session, d.order)
	_, prove := w.Prove(ctx, 2, session, wire.ProveRequest{IDs: d.order})
	_, upload := w.Upload(ctx, 2, session, bytes.NewReader(d.body(d.order)), -1)
	_, commit := w.Commit(ctx, 2, session, wire.CommitRequest{Root: d.root})
	for what, err := range map[string]error{
		"begin": begin, "have": have, "files": files, "prove": prove,
		"upload": upload, "commit": commit, "abandon": w.Abandon(ctx, 2, session),
	} {
		if !errors.Is(err, wire.ErrDenied) {
			t.Errorf("%s as another device: %v, want denied", what, err)
		}
	}
	w.centralize(t, 1, "desk", d) // the session of its owner is untouched
}

func TestNames(t *testing.T) {
	w := newWorld(t, Options{})
	for _, name := range []string{"", " x", "a/b", "a\nb", "\xff", string(make([]byte, 300))} {
		if _, err := w.Begin(t.Context(), 1, wire.BeginRequest{CVD: name}); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

// An expired session can do nothing and never commits; what it had acknowledged stays, unproven for others.
func TestExpired(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 5)
	session := w.begin(t, 1, "desk")
	w.upload(t, 1, session, d)
	sess, err := w.use(t.Context(), 1, session)
	must(t, err)
	w.exec(t, `update sessions set lease_until = now() - interval '1 second'`)
	ctx := t.Context()
	_, have := w.Have(ctx, 1, session, nil)
	_, upload := w.Upload(ctx, 1, session, bytes.NewReader(d.body(d.order[:1])), -1)
	_, commit := w.Commit(ctx, 1, session, wire.CommitRequest{Root: d.root})
	_, unknown := w.Have(ctx, 1, "0123456789abcdef0123456789abcdef", nil)
	_, nonsense := w.Have(ctx, 1, "x", nil)
	for what, err := range map[string]error{
		"have": have, "upload": upload, "commit": commit, "unknown": unknown, "nonsense": nonsense,
		// the lease ran out after the request found it alive: the commit's own transaction sees it
		"late": w.db.CommitSnapshot(ctx, sess, &postgres.Committed{}, nil),
	} {
		if !errors.Is(err, wire.ErrExpired) {
			t.Errorf("%s: %v, want expired", what, err)
		}
	}
	if got := w.fetch(t, 1, d, d.order); count(got, wire.FrameMissing) != len(d.order) {
		t.Errorf("%d chunks of an expired session were given out", len(d.order)-count(got, wire.FrameMissing))
	}
	next := w.begin(t, 1, "desk")
	haves, err := w.Have(ctx, 1, next, d.order)
	must(t, err)
	for i, h := range haves {
		if h != wire.Unproven {
			t.Fatalf("chunk %d: %d, want unproven: it stayed", i, h)
		}
	}
}

// Every request renews the lease.
func TestLeaseIsRenewed(t *testing.T) {
	w := newWorld(t, Options{})
	session := w.begin(t, 1, "desk")
	w.exec(t, `update sessions set lease_until = now() + interval '10 seconds'`)
	_, err := w.Have(t.Context(), 1, session, nil)
	must(t, err)
	var left float64
	must(t, w.sql.QueryRow(`select extract(epoch from lease_until - now()) from sessions`).Scan(&left))
	if left < 500 {
		t.Errorf("%.0f s left after a request, want ten minutes", left)
	}
}

// Invariant 3: a frame that does not hold what its id says is refused by name; what came before it is kept.
func TestBadFrame(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 10)
	for name, spoil := range map[string]func(b []byte, at int) []byte{
		"other bytes": func(b []byte, at int) []byte {
			frame := chunk.Encode(nil, []byte("something else"))
			head := wire.AppendHead(nil, wire.FrameOK, d.order[7], len(frame))
			return append(append(b[:at:at], head...), frame...)
		},
		"no frame": func(b []byte, at int) []byte { b[at+wire.HeadSize] ^= 0xff; return b },
	} {
		session := w.begin(t, 1, name)
		at := len(d.body(d.order[:7]))
		body := spoil(d.body(d.order[:12]), at)
		reply, err := w.Upload(t.Context(), 1, session, bytes.NewReader(body), -1)
		if !errors.Is(err, wire.ErrIntegrity) || !bytes.Contains([]byte(err.Error()), []byte(d.order[7].String())) {
			t.Errorf("%s: %v, want the chunk named", name, err)
		}
		haves, err := w.Have(t.Context(), 1, session, d.order[:12])
		must(t, err)
		for i, h := range haves {
			if (h == wire.Present) != (i < 7) {
				t.Errorf("%s: chunk %d is %d", name, i, h)
			}
		}
		if reply.Chunks != 7 {
			t.Errorf("%s: %d chunks counted, want 7", name, reply.Chunks)
		}
		w.exec(t, `delete from chunks`)
	}
}

// A link that breaks within an upload costs only the record that was under way.
func TestBrokenUpload(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 10)
	session := w.begin(t, 1, "desk")
	whole := len(d.body(d.order[:9]))
	_, err := w.Upload(t.Context(), 1, session, io.LimitReader(bytes.NewReader(d.body(d.order)), int64(whole)+100), -1)
	if err == nil {
		t.Fatal("half an upload was acknowledged")
	}
	haves, err := w.Have(t.Context(), 1, session, d.order)
	must(t, err)
	for i, h := range haves {
		if (h == wire.Present) != (i < 9) {
			t.Fatalf("chunk %d is %d after a break within the tenth", i, h)
		}
	}
}

// An upload that says the same chunk twice, or one that is there, is acknowledged whole.
func TestTwice(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 3)
	session := w.begin(t, 1, "desk")
	ids := append(append([]chunk.ID{}, d.order...), d.order...)
	for range 2 {
		reply, err := w.Upload(t.Context(), 1, session, bytes.NewReader(d.body(ids)), -1)
		must(t, err)
		if reply.Chunks != len(ids) {
			t.Errorf("%d chunks acknowledged of %d", reply.Chunks, len(ids))
		}
	}
	w.commit(t, 1, session, d)
}

// What is not a record, too much, or nothing at all.
func TestOddUploads(t *testing.T) {
	w := newWorld(t, Options{})
	session := w.begin(t, 1, "desk")
	if reply, err := w.Upload(t.Context(), 1, session, bytes.NewReader(nil), 0); err != nil || reply.Chunks != 0 {
		t.Errorf("nothing: %+v, %v", reply, err)
	}
	for name, head := range map[string][]byte{
		"status": wire.AppendHead(nil, wire.FrameMissing, chunk.ID{1}, 0),
		"length": wire.AppendHead(nil, wire.FrameOK, chunk.ID{1}, chunk.MaxFrame+1),
		"end":    wire.AppendHead(nil, wire.FrameEnd, chunk.ID{}, 0),
	} {
		if _, err := w.Upload(t.Context(), 1, session, bytes.NewReader(head), -1); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	var packs int
	must(t, w.sql.QueryRow(`select count(*) from packs`).Scan(&packs))
	if packs != 0 {
		t.Errorf("%d packs were begun for nothing", packs)
	}
}

// Invariant 1: a tree that contradicts itself is refused, whatever it names being there.
func TestTreesThatDoNotAddUp(t *testing.T) {
	w := newWorld(t, Options{})
	for name, spoil := range map[string]func(d *desktop, e *cvd.Entry){
		"size of a file": func(_ *desktop, e *cvd.Entry) { e.Size++ },
		"size of a chunk": func(d *desktop, e *cvd.Entry) {
			*e = *d.file(t, e.Name, randomText(newRand(), 3_000_000))
			e.Content.Chunks[0].Size--
			e.Content.Chunks[len(e.Content.Chunks)-1].Size++
		},
	} {
		d := &desktop{chunks: chunk.Map{}, files: map[chunk.ID][]byte{}}
		e := d.file(t, "file", randomText(newRand(), 5000))
		spoil(d, e)
		d.tree(t, cvd.Sums{}, e)
		w.refuseTree(t, name, d)
	}
	d := &desktop{chunks: chunk.Map{}, files: map[chunk.ID][]byte{}}
	d.tree(t, cvd.Sums{Files: 1}, d.file(t, "file", randomText(newRand(), 5000)))
	w.refuseTree(t, "sums", d)
	d = &desktop{chunks: chunk.Map{}}
	id, err := d.put([]byte("this is no tree"))
	must(t, err)
	d.root = cvd.Root(id)
	w.refuseTree(t, "no tree", d)
}

func (w *world) refuseTree(t *testing.T, name string, d *desktop) {
	t.Helper()
	session := w.begin(t, 1, name)
	w.upload(t, 1, session, d)
	if _, err := w.Commit(t.Context(), 1, session, wire.CommitRequest{Root: d.root}); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("%s: %v, want invalid", name, err)
	}
}

// Invariant 9: a volume whose mount is gone is never written to, and named.
func TestLostMount(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 3)
	w.centralize(t, 1, "desk", d)
	aside := w.volume + ".away"
	must(t, os.Rename(w.volume, aside))
	must(t, os.Mkdir(w.volume, 0o755))
	must(t, w.packs.close())
	session := w.begin(t, 1, "desk")
	more := makeDesktop(t, 2, 3)
	_, upload := w.Upload(t.Context(), 1, session, bytes.NewReader(more.body(more.order)), -1)
	var out bytes.Buffer
	fetch := w.Fetch(t.Context(), 1, d.order[:1], Pace{}, &out)
	again := openWorld(t, w.dsn, w.volume, Options{}) // a server that starts now does not make it a volume either
	_, fresh := again.Upload(t.Context(), 1, session, bytes.NewReader(more.body(more.order)), -1)
	for what, err := range map[string]error{"upload": upload, "fetch": fetch, "after a start": fresh} {
		if !errors.Is(err, wire.ErrUnavailable) || !bytes.Contains([]byte(err.Error()), []byte(w.volume)) {
			t.Errorf("%s without the volume: %v, want unavailable with its name", what, err)
		}
	}
	if names, err := filepath.Glob(w.volume + "/*"); err != nil || len(names) > 0 {
		t.Errorf("the empty mount point was written to: %v, %v", names, err)
	}
	must(t, os.Remove(w.volume))
	must(t, os.Rename(aside, w.volume))
	if got := w.fetch(t, 1, d, d.order); count(got, wire.FrameOK) != len(d.order) {
		t.Errorf("with the volume back %d of %d chunks came", count(got, wire.FrameOK), len(d.order))
	}
	w.upload(t, 1, session, more)
	w.commit(t, 1, session, more)
}

// Invariant 5: what somebody waits for does not queue behind bulk downloads, however slowly those are taken.
func TestDemandPassesBulk(t *testing.T) {
	w := newWorld(t, Options{Windows: 1})
	d := makeDesktop(t, 1, 8)
	w.centralize(t, 1, "desk", d)
	taken, let := make(chan struct{}), make(chan struct{})
	bulk := make(chan error, 2)
	for range 2 {
		go func() { bulk <- w.Fetch(t.Context(), 1, d.order, Pace{}, &slowTaker{taken: taken, let: let}) }()
	}
	<-taken // one of them has the only place, and its taker is stuck
	if got := w.fetch(t, 1, d, d.order[:1]); got[d.order[0]] != wire.FrameOK {
		t.Error("the demand got nothing")
	}
	close(let)
	go func() {
		for range taken {
		}
	}()
	for range 2 {
		must(t, <-bulk)
	}
	close(taken)
}

// slowTaker says when it is written to and then waits to be let on.
type slowTaker struct{ taken, let chan struct{} }

func (s *slowTaker) Write(b []byte) (int, error) {
	s.taken <- struct{}{}
	<-s.let
	return len(b), nil
}

// Invariant 8: a device that was revoked gets nothing and changes nothing, whatever it had begun.
func TestRevokedWithin(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 8)
	w.centralize(t, 1, "desk", d)
	more := makeDesktop(t, 2, 2)
	session := w.begin(t, 1, "desk")
	w.upload(t, 1, session, more)
	token, err := postgres.ParseToken(session)
	must(t, err)
	known, err := w.db.UseSession(t.Context(), token, 1, w.opts.Lease)
	must(t, err)
	f := &fetch{ // looked up before, and then some time goes by
		s: w.Service, rest: d.order, device: 1, line: new(lines).use(1), looked: time.Now(), out: bufio.NewWriter(io.Discard),
		readable: func(ids []chunk.ID) (map[chunk.ID]postgres.Chunk, error) { return w.readable(t.Context(), 1, ids) },
	}
	must(t, f.lookUp())
	w.exec(t, `update devices set state = 'revoked' where id = 1`)
	f.looked = f.looked.Add(-approvedFor)
	if err := f.run(t.Context()); !errors.Is(err, wire.ErrDenied) {
		t.Errorf("a download goes on: %v", err)
	}
	for what, err := range map[string]error{
		"a demand":     w.Fetch(t.Context(), 1, d.order[:1], Pace{}, io.Discard),
		"bulk":         w.Fetch(t.Context(), 1, d.order, Pace{}, io.Discard),
		"held chunks":  w.Fetch(t.Context(), 1, more.order, Pace{}, io.Discard),
		"the database": w.db.CommitSnapshot(t.Context(), known, &postgres.Committed{Serials: []byte{}}, func(uint64) bool { return false }),
		"begin":        errorOf(w.Begin(t.Context(), 1, wire.BeginRequest{CVD: "new"})),
		"have":         errorOf(w.Have(t.Context(), 1, session, more.order)),
		"commit":       errorOf(w.Commit(t.Context(), 1, session, wire.CommitRequest{Root: more.root})),
	} {
		if !errors.Is(err, wire.ErrDenied) {
			t.Errorf("%s of a revoked device: %v", what, err)
		}
	}
	held, err := w.db.DeviceSets(t.Context(), 1)
	must(t, err)
	if len(held) != 0 {
		t.Error("its sessions still entitle it")
	}
	w.exec(t, `update devices set state = 'approved' where id = 1`)
	w.commit(t, 1, session, more) // nothing was lost
}

// Invariant 10: what a commit says about itself is of bounded size and clean, and a device has a bounded number of sessions.
func TestCommitIsBounded(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 2)
	session := w.begin(t, 1, "desk")
	w.upload(t, 1, session, d)
	req := wire.CommitRequest{Root: d.root, Host: "a\x00b\xff" + strings.Repeat("\n", 1<<20), Unreadable: math.MaxUint64}
	snap, err := w.Commit(t.Context(), 1, session, req)
	must(t, err)
	if len(snap.Host) > hostMax || !utf8.ValidString(snap.Host) || strings.ContainsAny(snap.Host, "\x00\n") || snap.Unreadable != math.MaxInt64 {
		t.Errorf("host %q, %d unreadable", snap.Host, snap.Unreadable)
	}
	for i := range 16 {
		w.begin(t, 1, fmt.Sprint("desk ", i))
	}
	if _, err := w.Begin(t.Context(), 1, wire.BeginRequest{CVD: "one more"}); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("a session too many: %v", err)
	}
	w.begin(t, 2, "another's")
	w.exec(t, `update sessions set lease_until = now() where device_id = 1`)
	w.begin(t, 1, "desk")
}

func errorOf[T any](_ T, err error) error { return err }
