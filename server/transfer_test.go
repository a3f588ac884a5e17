//go:build unix

package server

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// tree is a desktop of a few incompressible files.
func tree(t *testing.T, files, size int) (root cvd.Root, order []chunk.ID, chunks chunk.Map) {
	t.Helper()
	chunks = chunk.Map{}
	put := func(plain []byte) (chunk.ID, error) {
		order = append(order, chunk.Sum(plain))
		return chunks.Put(plain)
	}
	b := cvd.NewBuilder(put)
	for i := range files {
		plain := make([]byte, size)
		_, _ = rand.Read(plain)
		id, err := put(plain)
		must(t, err)
		must(t, b.Add(&cvd.Entry{
			Name: fmt.Sprintf("file %04d", i), Type: cvd.File, Mode: 0o600, Size: uint64(size),
			Content: cvd.Content{ID: id},
		}))
	}
	top, sums, err := b.Finish()
	must(t, err)
	plain, err := cvd.EncodeRoot(&cvd.Entry{Type: cvd.Dir, Mode: 0o700, Tree: top, Sums: sums})
	must(t, err)
	id, err := put(plain)
	must(t, err)
	return cvd.Root(id), order, chunks
}

func uploadBody(order []chunk.ID, chunks chunk.Map) []byte {
	var b []byte
	for _, id := range order {
		f := chunk.Encode(nil, chunks[id])
		b = append(wire.AppendHead(b, wire.FrameOK, id, len(f)), f...)
	}
	return b
}

func idBody(ids ...chunk.ID) []byte {
	var b bytes.Buffer
	_ = wire.WriteIDs(&b, ids) // into memory
	return b.Bytes()
}

func (c *client) begin(name string) string {
	c.s.t.Helper()
	var sess wire.Session
	must(c.s.t, c.do("POST", "/v1/sessions", wire.BeginRequest{CVD: name}, &sess))
	return "/v1/sessions/" + sess.ID
}

// The whole way over the network: begin, ask, upload, commit, read back, and nothing of it for another device.
func TestTransfer(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	laptop, other := s.approved("laptop"), s.approved("other")
	root, order, chunks := tree(t, 40, 100_000)
	path := laptop.begin("desk")
	var haves []byte
	must(t, laptop.do("POST", path+"/have", idBody(order...), &haves))
	if !bytes.Equal(haves, make([]byte, len(order))) {
		t.Errorf("an empty server has %v", haves)
	}
	var reply wire.UploadReply
	must(t, laptop.do("POST", path+"/chunks", uploadBody(order, chunks), &reply))
	if reply.Chunks != len(order) {
		t.Errorf("%+v for %d chunks", reply, len(order))
	}
	var snap cvd.Snapshot
	must(t, laptop.do("POST", path+"/commit", wire.CommitRequest{Root: root, Host: "host"}, &snap))
	if snap.Files != 40 || snap.Device != "laptop" || snap.CVD != "desk" {
		t.Errorf("%+v", snap)
	}
	for _, c := range []*client{laptop, other} {
		var raw []byte
		must(t, c.do("POST", "/v1/chunks", idBody(order...), &raw))
		readBack(t, raw, order, chunks, c == laptop)
	}
	want(t, "another device's session", other.do("POST", path+"/have", nil, nil), wire.ErrDenied)
	s.wantRefusal("device:other", "another device's")
	want(t, "another device's desktop", other.do("POST", "/v1/sessions", wire.BeginRequest{CVD: "desk"}, nil), wire.ErrDenied)
	want(t, "a session that ended", laptop.do("POST", path+"/have", nil, nil), wire.ErrExpired)
	want(t, "no session", laptop.do("POST", "/v1/sessions/nonsense/have", nil, nil), wire.ErrExpired)
	want(t, "too many ids", laptop.do("POST", "/v1/chunks", make([]byte, 32*(wire.BatchMax+1)), nil), wire.ErrInvalid)
	want(t, "half an id", laptop.do("POST", "/v1/chunks", make([]byte, 33), nil), wire.ErrInvalid)
	next := laptop.begin("desk")
	must(t, laptop.do("DELETE", next, nil, nil))
	want(t, "an abandoned session", laptop.do("POST", next+"/have", nil, nil), wire.ErrExpired)
	want(t, "nobody", s.client("stranger").do("POST", "/v1/chunks", idBody(order...), nil), wire.ErrDenied)
}

// A device hears of the limit that an admin sets, and gets its bytes in pieces if it asks for a pace; what it waits for is
// not limited, and neither is anything after the limit has gone.
func TestPaceAndLimit(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	laptop := s.approved("laptop")
	root, order, chunks := tree(t, 10, 20_000)
	path := laptop.begin("desk")
	var set Limit
	must(t, s.admin("POST", "/v1/admin/limits", Limit{Device: "laptop", Download: 40 << 20, Upload: 40 << 20}, &set))
	must(t, laptop.do("POST", path+"/chunks", uploadBody(order, chunks), nil))
	must(t, laptop.do("POST", path+"/commit", wire.CommitRequest{Root: root, Host: "host"}, nil))
	for _, c := range []struct {
		pace, limit string
		pieces      bool
	}{{"30000000", "41943040", true}, {"0", "41943040", true}, {"", "41943040", false}, {wire.PaceDemand, "", false}} {
		head, raw := laptop.paced(c.pace, order)
		if got := head.Get(wire.LimitHeader); got != c.limit || (head.Get(wire.ClockHeader) != "") != c.pieces {
			t.Errorf("pace %q: limit %q, clock %q", c.pace, got, head.Get(wire.ClockHeader))
		}
		if c.pieces {
			var err error
			raw, err = io.ReadAll(&wire.PieceReader{R: bytes.NewReader(raw)})
			must(t, err)
		}
		readBack(t, raw, order, chunks, true)
	}
	must(t, s.admin("DELETE", fmt.Sprintf("/v1/admin/limits/%d", set.ID), nil, nil))
	want(t, "a limit that is gone", s.admin("DELETE", fmt.Sprintf("/v1/admin/limits/%d", set.ID), nil, nil), wire.ErrNotFound)
	if head, _ := laptop.paced("1000000", order); head.Get(wire.LimitHeader) != "" {
		t.Errorf("a limit of %s after it was removed", head.Get(wire.LimitHeader))
	}
	want(t, "a limit for two", s.admin("POST", "/v1/admin/limits", Limit{Device: "laptop", Subnet: "10.0.0.0/8"}, nil), wire.ErrInvalid)
}

// paced asks for chunks at a pace.
func (c *client) paced(pace string, ids []chunk.ID) (http.Header, []byte) {
	c.s.t.Helper()
	req, err := http.NewRequest("POST", c.s.url+"/v1/chunks", bytes.NewReader(idBody(ids...)))
	must(c.s.t, err)
	if pace != "" {
		req.Header.Set(wire.PaceHeader, pace)
	}
	resp, err := c.http.Do(req)
	must(c.s.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(c.s.t, err)
	return resp.Header, raw
}

func readBack(t *testing.T, raw []byte, order []chunk.ID, chunks chunk.Map, allowed bool) {
	t.Helper()
	r := bytes.NewReader(raw)
	for i, id := range order {
		f, _, err := wire.ReadFrame(r, nil)
		must(t, err)
		if f.ID != id || (f.Status == wire.FrameOK) != allowed {
			t.Fatalf("record %d: %s with status %d", i, f.ID, f.Status)
		}
		if allowed {
			plain, err := chunk.Decode(nil, f.Bytes, id)
			if err != nil || !bytes.Equal(plain, chunks[id]) {
				t.Fatalf("record %d: %v", i, err)
			}
		}
	}
	if f, _, err := wire.ReadFrame(r, nil); err != nil || f.Status != wire.FrameEnd || r.Len() > 0 {
		t.Errorf("the end: %+v, %v, %d bytes more", f, err, r.Len())
	}
}

// An upload that is refused at its first frame is heard of by its sender, however much it still had to say.
func TestRefusedUploadIsHeard(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	laptop := s.approved("laptop")
	_, order, chunks := tree(t, 300, 120_000)
	body := uploadBody(order, chunks)
	body[5] ^= 1
	for range 3 {
		want(t, "a bad frame", laptop.do("POST", laptop.begin("desk")+"/chunks", body, nil), wire.ErrIntegrity)
		want(t, "no session", laptop.do("POST", "/v1/sessions/0123456789abcdef0123456789abcdef/chunks", body, nil), wire.ErrExpired)
	}
}

// What came whole before a link broke is kept; the endpoint asks and goes on.
func TestCutUpload(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	laptop := s.approved("laptop")
	root, order, chunks := tree(t, 20, 100_000)
	path, body := laptop.begin("desk"), uploadBody(order, chunks)
	for _, declared := range []int64{int64(len(body)), -1} {
		cutAt := len(body) / 2
		r := io.MultiReader(bytes.NewReader(body[:cutAt]), broken{})
		req, err := http.NewRequest("POST", s.url+path+"/chunks", io.NopCloser(r))
		must(t, err)
		req.ContentLength = declared
		if resp, err := laptop.http.Do(req); err == nil {
			resp.Body.Close()
			t.Fatalf("half an upload was answered with %s", resp.Status)
		}
	}
	var haves []byte
	arrived := func() int {
		must(t, laptop.do("POST", path+"/have", idBody(order...), &haves))
		return bytes.Count(haves, []byte{byte(wire.Present)})
	}
	// The server seals what arrived after its client is gone, and nobody tells when; in the meantime each answer is right.
	for arrived() < 9 {
		if t.Context().Err() != nil {
			t.Fatal("what arrived never counted")
		}
	}
	var missing []chunk.ID
	for i, h := range haves {
		if h != byte(wire.Present) {
			missing = append(missing, order[i])
		}
	}
	must(t, laptop.do("POST", path+"/chunks", uploadBody(missing, chunks), nil))
	must(t, laptop.do("POST", path+"/commit", wire.CommitRequest{Root: root}, nil))
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the cable was pulled") }

// A commit that lacks chunks names them across the network.
func TestIncompleteNamesWhatLacks(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	laptop := s.approved("laptop")
	root, order, chunks := tree(t, 5, 5000)
	path := laptop.begin("desk")
	must(t, laptop.do("POST", path+"/chunks", uploadBody(order[1:], chunks), nil))
	err := laptop.do("POST", path+"/commit", wire.CommitRequest{Root: root}, nil)
	var p *wire.Problem
	if !errors.As(err, &p) || !errors.Is(err, wire.ErrIncomplete) || len(p.Missing) != 1 || p.Missing[0] != order[0] {
		t.Errorf("%v: %+v", err, p)
	}
	if strings.Contains(err.Error(), "pq:") {
		t.Errorf("the database's words: %v", err)
	}
}

// Invariant 10: bodies are taken into memory a few at a time, of one device fewer, and none is longer than it may be.
func TestBodiesAreBounded(t *testing.T) {
	s := serve(t, pgtest.Database(t))
	bad, good := s.approved("bad"), s.approved("good")
	path := bad.begin("bad")
	want(t, "a long begin", bad.do("POST", "/v1/sessions", wire.BeginRequest{CVD: strings.Repeat("x", beginMax)}, nil), wire.ErrInvalid)
	want(t, "a long prove", bad.do("POST", path+"/prove", bytes.Repeat([]byte(" "), proveMax+1), nil), wire.ErrInvalid)
	want(t, "a long commit", bad.do("POST", path+"/commit", bytes.Repeat([]byte(" "), commitMax+1), nil), wire.ErrInvalid)
	var all sync.WaitGroup
	end := make(chan struct{})
	var begun atomic.Int32
	for _, action := range []string{"commit", "have", "files", "prove"} {
		for range 12 {
			req, err := http.NewRequest("POST", s.url+path+"/"+action, &endless{begun: &begun, end: end})
			must(t, err)
			all.Go(func() {
				if resp, err := bad.http.Do(req); err == nil {
					resp.Body.Close()
				}
			})
		}
	}
	eventually(t, func() error {
		if n := begun.Load(); n < 48 {
			return fmt.Errorf("%d requests are under way", n)
		}
		return nil
	})
	root, order, chunks := tree(t, 3, 5000)
	other := good.begin("good")
	must(t, good.do("POST", other+"/have", idBody(order...), nil))
	must(t, good.do("POST", other+"/files", idBody(order...), nil))
	must(t, good.do("POST", other+"/prove", wire.ProveRequest{IDs: order}, nil))
	must(t, good.do("POST", other+"/chunks", uploadBody(order, chunks), nil))
	must(t, good.do("POST", other+"/commit", wire.CommitRequest{Root: root}, nil))
	close(end)
	all.Wait()
}

// endless is a body that stops after its first byte.
type endless struct {
	begun *atomic.Int32
	end   chan struct{}
	said  bool
}

func (e *endless) Read(p []byte) (int, error) {
	if !e.said {
		e.said, p[0] = true, ' '
		e.begun.Add(1)
		return 1, nil
	}
	<-e.end
	return 0, errors.New("the end")
}
