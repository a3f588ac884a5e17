package session

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"

	_ "github.com/lib/pq" // the driver

	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	os.Exit(pgtest.Main(m))
}

// world is a database with devices, a volume and a Service.
type world struct {
	*Service
	db      *postgres.DB
	sql     *sql.DB
	dsn     string
	volume  string
	devices int
}

func newWorld(t testing.TB, opts Options) *world {
	t.Helper()
	dsn := pgtest.Database(t)
	w := openWorld(t, dsn, t.TempDir(), opts)
	w.device(t)
	w.device(t)
	return w
}

// openWorld is another server on the same database and volume.
func openWorld(t testing.TB, dsn, volume string, opts Options) *world {
	t.Helper()
	db, err := postgres.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if opts.FirstVolume == "" {
		opts.Volumes = []string{volume}
	}
	opts.Log = slog.New(slog.DiscardHandler)
	s, err := Open(t.Context(), db, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	raw, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	return &world{Service: s, db: db, sql: raw, dsn: dsn, volume: volume}
}

// device adds an approved device; they have the ids 1, 2, ...
func (w *world) device(t testing.TB) {
	t.Helper()
	w.devices++
	w.exec(t, `insert into devices (name, fingerprint, state) values ($1, $2, 'approved')`,
		fmt.Sprintf("device-%d", w.devices), fmt.Append(nil, w.devices))
}

func (w *world) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := w.sql.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func (w *world) begin(t testing.TB, device int64, name string) string {
	t.Helper()
	s, err := w.Begin(t.Context(), device, wire.BeginRequest{CVD: name})
	if err != nil {
		t.Fatal(err)
	}
	return s.ID
}

// desktop is a small tree in memory, with all kinds of content.
type desktop struct {
	chunks chunk.Map
	root   cvd.Root
	sums   cvd.Sums
	files  map[chunk.ID][]byte // of more than chunk.WholeMax bytes
	order  []chunk.ID
}

func (d *desktop) put(plain []byte) (chunk.ID, error) {
	id := chunk.Sum(plain)
	if _, ok := d.chunks[id]; !ok {
		d.order = append(d.order, id)
	}
	return d.chunks.Put(plain)
}

// makeDesktop makes dirs directories of 20 files, one in 40 of them large and the first of all so large that lists
// name its chunks, from a seed.
func makeDesktop(t testing.TB, seed uint64, dirs int) *desktop {
	t.Helper()
	d := &desktop{chunks: chunk.Map{}, files: map[chunk.ID][]byte{}}
	rnd := rand.New(rand.NewPCG(seed, 1))
	top := cvd.NewBuilder(d.put)
	for i := range dirs {
		b := cvd.NewBuilder(d.put)
		for j := range 20 {
			size := 1 + rnd.IntN(8000)
			switch {
			case i+j == 0:
				size = 6 << 20
			case rnd.IntN(40) == 0:
				size = chunk.WholeMax + rnd.IntN(600<<10)
			}
			must(t, b.Add(d.file(t, fmt.Sprintf("file %02d", j), randomText(rnd, size))))
		}
		tree, sums, err := b.Finish()
		must(t, err)
		must(t, top.Add(&cvd.Entry{Name: fmt.Sprintf("dir %05d", i), Type: cvd.Dir, Mode: 0o755, Tree: tree, Sums: sums}))
	}
	tree, sums, err := top.Finish()
	must(t, err)
	plain, err := cvd.EncodeRoot(&cvd.Entry{Type: cvd.Dir, Mode: 0o755, Tree: tree, Sums: sums})
	must(t, err)
	id, err := d.put(plain)
	must(t, err)
	d.root, d.sums = cvd.Root(id), sums
	return d
}

// randomText compresses about as well as files do.
func randomText(rnd *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.BigEndian.AppendUint64(b, rnd.Uint64()&0x0f0f00ff0f0f0f00)
	}
	return b[:n]
}

func (d *desktop) file(t testing.TB, name string, data []byte) *cvd.Entry {
	e := &cvd.Entry{Name: name, Type: cvd.File, Mode: 0o644, Size: uint64(len(data))}
	switch {
	case len(data) <= cvd.InlineMax:
		e.Content.Inline = data
		return e
	case len(data) <= chunk.WholeMax:
		id, err := d.put(data)
		must(t, err)
		e.Content.ID = id
		return e
	}
	var refs []cvd.Ref
	s := chunk.NewSplitter(bytes.NewReader(data), chunk.Cut{Min: 64 << 10, Avg: 256 << 10, Max: 1 << 20}, nil)
	for {
		b, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		id, err := d.put(b)
		must(t, err)
		refs = append(refs, cvd.Ref{ID: id, Size: uint64(len(b))})
	}
	c, err := cvd.ListContent(chunk.Sum(data), refs, d.put)
	must(t, err)
	e.Content = c
	d.files[c.ID] = data
	return e
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// body is an upload of these chunks.
func (d *desktop) body(ids []chunk.ID) []byte {
	var b, frame []byte
	for _, id := range ids {
		frame = chunk.Encode(frame[:0], d.chunks[id])
		b = append(wire.AppendHead(b, wire.FrameOK, id, len(frame)), frame...)
	}
	return b
}

// upload asks what the server lacks, and sends it in a few packs. It returns how many chunks went.
func (w *world) upload(t testing.TB, device int64, session string, d *desktop) (sent int) {
	t.Helper()
	haves, err := w.Have(t.Context(), device, session, d.order)
	must(t, err)
	var missing []chunk.ID
	for i, h := range haves {
		if h != wire.Present {
			missing = append(missing, d.order[i])
		}
	}
	for len(missing) > 0 {
		n := (len(missing) + 1) / 2
		b := d.body(missing[:n])
		reply, err := w.Upload(t.Context(), device, session, bytes.NewReader(b), int64(len(b)))
		must(t, err)
		if reply.Chunks != n {
			t.Fatalf("%d chunks acknowledged of %d", reply.Chunks, n)
		}
		sent, missing = sent+n, missing[n:]
	}
	return sent
}

func (w *world) commit(t testing.TB, device int64, session string, d *desktop) cvd.Snapshot {
	t.Helper()
	snap, err := w.Commit(t.Context(), device, session, wire.CommitRequest{Root: d.root, Host: "host"})
	must(t, err)
	return snap
}

// centralize does it all.
func (w *world) centralize(t testing.TB, device int64, name string, d *desktop) cvd.Snapshot {
	t.Helper()
	session := w.begin(t, device, name)
	w.upload(t, device, session, d)
	return w.commit(t, device, session, d)
}

// fetch returns the status of each chunk, and checks the bytes of those that came.
func (w *world) fetch(t testing.TB, device int64, d *desktop, ids []chunk.ID) map[chunk.ID]byte {
	t.Helper()
	var out bytes.Buffer
	must(t, w.Fetch(t.Context(), device, ids, Pace{}, &out))
	status := map[chunk.ID]byte{}
	var buf []byte
	for i := 0; ; i++ {
		f, b, err := wire.ReadFrame(&out, buf)
		must(t, err)
		buf = b
		if f.Status == wire.FrameEnd {
			if i != len(ids) || out.Len() > 0 {
				t.Fatalf("%d records for %d chunks, %d bytes after the end", i, len(ids), out.Len())
			}
			return status
		}
		if f.ID != ids[i] {
			t.Fatalf("record %d is of %s, want %s", i, f.ID, ids[i])
		}
		if status[f.ID] = f.Status; f.Status == wire.FrameOK {
			plain, err := chunk.Decode(nil, f.Bytes, f.ID)
			if err == nil && !bytes.Equal(plain, d.chunks[f.ID]) {
				err = errors.New("other bytes")
			}
			if err != nil {
				status[f.ID] = wire.FrameDamaged
			}
		}
	}
}

func count(status map[chunk.ID]byte, want byte) (n int) {
	for _, s := range status {
		if s == want {
			n++
		}
	}
	return n
}

// Invariants 1 and 8: what was centralized comes back whole, to its device alone.
func TestCentralizeAndFetch(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 20)
	snap := w.centralize(t, 1, "desk", d)
	if snap.Files != d.sums.Files || snap.Dirs != d.sums.Dirs || snap.Bytes != d.sums.Bytes || snap.Device != "device-1" {
		t.Errorf("snapshot %+v, want the sums %+v", snap, d.sums)
	}
	if got := w.fetch(t, 1, d, d.order); count(got, wire.FrameOK) != len(d.order) {
		t.Errorf("%d of %d chunks came back", count(got, wire.FrameOK), len(d.order))
	}
	if got := w.fetch(t, 2, d, d.order); count(got, wire.FrameMissing) != len(d.order) {
		t.Errorf("another device got %d chunks", len(d.order)-count(got, wire.FrameMissing))
	}
	w.exec(t, `insert into assignments (cvd_id, device_id, creator) select id, 2, 'x' from cvds`)
	if got := w.fetch(t, 2, d, d.order[:5]); count(got, wire.FrameOK) != 5 {
		t.Errorf("an assigned device got %d chunks of 5", count(got, wire.FrameOK))
	}
	w.exec(t, `delete from assignments`)
	if got := w.fetch(t, 2, d, d.order[:5]); count(got, wire.FrameMissing) != 5 {
		t.Errorf("after the assignment ended the device got %d chunks", 5-count(got, wire.FrameMissing))
	}
}

// What a CVD has needs no second upload, and a root that it has no second walk.
func TestSecondSnapshot(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 8)
	first := w.centralize(t, 1, "desk", d)
	session := w.begin(t, 1, "desk")
	if sent := w.upload(t, 1, session, d); sent != 0 {
		t.Errorf("%d chunks went again", sent)
	}
	second := w.commit(t, 1, session, d)
	if second.Parent != first.ID || second.Bytes != first.Bytes || second.ID == first.ID {
		t.Errorf("second snapshot %+v after %+v", second, first)
	}
	again, err := w.Commit(t.Context(), 1, session, wire.CommitRequest{Root: d.root})
	if err != nil || again.ID != second.ID {
		t.Errorf("the same commit, repeated: %+v, %v; want the same snapshot", again, err)
	}
}

// Invariant 1: a commit that lacks a chunk names it, and goes through once it is there.
func TestIncomplete(t *testing.T) {
	w := newWorld(t, Options{})
	d := makeDesktop(t, 1, 8)
	for _, i := range []int{0, len(d.order) / 2, len(d.order) - 2, len(d.order) - 1} {
		session := w.begin(t, 1, fmt.Sprintf("desk %d", i))
		most := append(append([]chunk.ID{}, d.order[:i]...), d.order[i+1:]...)
		_, err := w.Upload(t.Context(), 1, session, bytes.NewReader(d.body(most)), -1)
		must(t, err)
		_, err = w.Commit(t.Context(), 1, session, wire.CommitRequest{Root: d.root})
		var p *wire.Problem
		if !errors.Is(err, wire.ErrIncomplete) || !errors.As(err, &p) || len(p.Missing) != 1 || p.Missing[0] != d.order[i] {
			t.Fatalf("without chunk %d: %v, want it named", i, err)
		}
		_, err = w.Upload(t.Context(), 1, session, bytes.NewReader(d.body(d.order[i:i+1])), -1)
		must(t, err)
		w.commit(t, 1, session, d)
		// Other rounds must not find this one's chunks.
		w.exec(t, `delete from snapshots`)
		w.exec(t, `delete from chunks`)
		w.where.forget()
	}
}

func newRand() *rand.Rand { return rand.New(rand.NewPCG(9, 9)) }

// tree makes the entries the top directory, with sums that are wrong by the given ones.
func (d *desktop) tree(t testing.TB, wrong cvd.Sums, entries ...*cvd.Entry) {
	t.Helper()
	b := cvd.NewBuilder(d.put)
	for _, e := range entries {
		must(t, b.Add(e))
	}
	tree, sums, err := b.Finish()
	must(t, err)
	sums.Plus(wrong)
	plain, err := cvd.EncodeRoot(&cvd.Entry{Type: cvd.Dir, Mode: 0o755, Tree: tree, Sums: sums})
	must(t, err)
	id, err := d.put(plain)
	must(t, err)
	d.root, d.sums = cvd.Root(id), sums
}
