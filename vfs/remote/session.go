package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
	"github.com/zeebo/blake3"
)

// Session is an open upload session. Its methods may be called from several
// goroutines, and fail with wire.ErrExpired once the server gave it up: then
// begin another and ask anew about everything.
type Session struct {
	c    *Client
	info wire.Session
}

// Begin opens an upload session for a CVD, which is made where it does not exist.
func (c *Client) Begin(ctx context.Context, name string) (*Session, error) {
	s := &Session{c: c}
	r := request{class: Control, method: "POST", path: "/v1/sessions"}
	if err := c.json(ctx, r, wire.BeginRequest{CVD: name}, &s.info); err != nil {
		return nil, fmt.Errorf("begin a snapshot of %s: %w", name, err)
	}
	return s, nil
}

// Info is what the server said when the session began.
func (s *Session) Info() wire.Session { return s.info }

func (s *Session) request(class Class, action string) request {
	return request{class: class, method: "POST", path: "/v1/sessions/" + s.info.ID + "/" + action}
}

// ask sends ids in batches and hands each answer to read.
func (s *Session) ask(ctx context.Context, action string, ids []chunk.ID, read func(r io.Reader, ids []chunk.ID) error) error {
	for start := 0; start == 0 || start < len(ids); start += wire.BatchMax {
		part := ids[start:min(start+wire.BatchMax, len(ids))]
		r := s.request(Control, action)
		r.kind, r.body = wire.TypeBinary, make([]byte, 0, len(part)*len(chunk.ID{}))
		for i := range part {
			r.body = append(r.body, part[i][:]...)
		}
		if err := s.c.call(ctx, r, func(body io.Reader) error { return read(body, part) }); err != nil {
			return fmt.Errorf("ask the server for what it has: %w", err)
		}
	}
	return nil
}

// Have asks which chunks the server has; the answers are in the order of ids.
func (s *Session) Have(ctx context.Context, ids []chunk.ID) ([]wire.Have, error) {
	haves := make([]wire.Have, 0, len(ids))
	err := s.ask(ctx, "have", ids, func(r io.Reader, ids []chunk.ID) error {
		b := make([]byte, len(ids))
		if _, err := io.ReadFull(r, b); err != nil {
			return broke(err)
		}
		for _, h := range b {
			if wire.Have(h) > wire.Unproven {
				return fmt.Errorf("%w: have byte %d", wire.ErrInternal, h)
			}
			haves = append(haves, wire.Have(h))
		}
		return nil
	})
	return haves, err
}

// Files asks for files of more than chunk.WholeMax bytes that the server knows; the
// answers are in the order of ids.
func (s *Session) Files(ctx context.Context, ids []chunk.ID) ([]wire.FileAnswer, error) {
	answers := make([]wire.FileAnswer, 0, len(ids))
	err := s.ask(ctx, "files", ids, func(r io.Reader, ids []chunk.ID) error {
		as, err := wire.ReadFileAnswers(r, ids)
		answers = append(answers, as...)
		return broke(err)
	})
	return answers, err
}

// broke makes an answer that ended early an unreachable server, which can be asked again.
func broke(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the answer broke off", wire.ErrUnreachable)
	}
	return err
}

// Bounds of one request with proofs; proveBytes is what the server reads for one at most.
const (
	proveIDs   = 1024
	proveBytes = 2 * wire.PackMax
)

// Prove shows the server that this device holds the chunks, each named once; plain(id) are a chunk's bytes. It returns
// the ids whose proof was refused, which must be uploaded.
func (s *Session) Prove(ctx context.Context, ids []chunk.ID, plain func(id chunk.ID) []byte) ([]chunk.ID, error) {
	var refused []chunk.ID
	for len(ids) > 0 {
		n := provable(ids, plain)
		part, err := s.prove(ctx, ids[:n], plain)
		if err != nil {
			return nil, fmt.Errorf("prove to the server what this device holds: %w", err)
		}
		refused, ids = append(refused, part...), ids[n:]
	}
	return refused, nil
}

// provable is how many of ids go into one request.
func provable(ids []chunk.ID, plain func(id chunk.ID) []byte) (n int) {
	for size := 0; n < min(len(ids), proveIDs); n++ {
		if size += len(plain(ids[n])); size > proveBytes && n > 0 {
			break
		}
	}
	return n
}

func (s *Session) prove(ctx context.Context, ids []chunk.ID, plain func(chunk.ID) []byte) ([]chunk.ID, error) {
	var reply wire.ProveReply
	if err := s.c.json(ctx, s.request(Control, "prove"), wire.ProveRequest{IDs: ids}, &reply); err != nil {
		return nil, err
	}
	asked := make(map[chunk.ID]bool, len(ids))
	for _, id := range ids {
		asked[id] = true
	}
	var proofs []wire.Proof
	for _, ch := range reply.Challenges {
		if !asked[ch.ID] {
			continue
		}
		if mac, ok := answer(ch, plain(ch.ID)); ok {
			proofs = append(proofs, wire.Proof{ID: ch.ID, MAC: mac})
			delete(asked, ch.ID)
		}
	}
	var refused []chunk.ID
	for id := range asked { // no challenge that can be met: upload it
		refused = append(refused, id)
	}
	reply = wire.ProveReply{}
	if len(proofs) > 0 {
		if err := s.c.json(ctx, s.request(Control, "prove"), wire.ProveRequest{Proofs: proofs}, &reply); err != nil {
			return nil, err
		}
	}
	return append(refused, reply.Refused...), nil
}

// answer computes the keyed hash that a challenge asks for.
func answer(ch wire.Challenge, plain []byte) (mac chunk.ID, ok bool) {
	from, to := uint64(ch.Offset), uint64(ch.Offset)+uint64(ch.Length)
	h, err := blake3.NewKeyed(ch.Key[:])
	if err != nil || to > uint64(len(plain)) {
		return mac, false
	}
	_, _ = h.Write(plain[from:to]) // never fails
	h.Sum(mac[:0])
	return mac, true
}

// Upload sends the pack and returns when everything in it is durable on the server. If the link breaks it asks what
// arrived and goes on with the rest; what is sent already is dropped from p. p must not be used meanwhile.
func (s *Session) Upload(ctx context.Context, p *Pack) error {
	first := true
	err := s.c.retry(ctx, func() error {
		if !first {
			if err := s.drop(ctx, p); err != nil {
				return err
			}
		}
		first = false
		if p.Len() == 0 {
			return nil
		}
		r := s.request(Upload, "chunks")
		r.body, r.kind, r.patient = p.buf, wire.TypeBinary, true
		return s.c.once(ctx, r, func(body io.Reader) error { return s.acknowledged(body, p) })
	})
	if err != nil {
		return fmt.Errorf("upload %d chunks: %w", p.Len(), err)
	}
	return nil
}

func (s *Session) acknowledged(body io.Reader, p *Pack) error {
	var reply wire.UploadReply
	if err := json.NewDecoder(io.LimitReader(body, 1<<16)).Decode(&reply); err != nil {
		return broke(err)
	}
	if reply.Chunks != p.Len() {
		return fmt.Errorf("%w: the server acknowledged %d chunks of %d", wire.ErrInternal, reply.Chunks, p.Len())
	}
	return nil
}

// drop takes out of p what the server has by now.
func (s *Session) drop(ctx context.Context, p *Pack) error {
	ids := make([]chunk.ID, 0, p.Len())
	p.IDs(func(id chunk.ID) { ids = append(ids, id) })
	haves, err := s.Have(ctx, ids)
	if err != nil {
		return err
	}
	keep := make([]bool, len(haves))
	for i, h := range haves {
		keep[i] = h != wire.Present
	}
	p.keep(keep)
	return nil
}

// Commit ends the session with a snapshot. Where chunks are missing the error wraps
// wire.ErrIncomplete and a *wire.Problem that names them. A commit whose answer was lost is found again.
func (s *Session) Commit(ctx context.Context, name string, req wire.CommitRequest) (cvd.Snapshot, error) {
	var snap cvd.Snapshot
	r := s.request(Control, "commit")
	r.patient = true
	b, err := json.Marshal(req)
	if err != nil {
		return snap, fmt.Errorf("commit the snapshot of %s: %w", name, err)
	}
	r.body, r.kind = b, "application/json"
	err = s.c.retry(ctx, func() error {
		err := s.c.once(ctx, r, func(body io.Reader) error {
			return broke(json.NewDecoder(io.LimitReader(body, answerMax)).Decode(&snap))
		})
		if err != nil && !passing(err) {
			return s.committed(ctx, name, req, &snap, err)
		}
		return err
	})
	if err != nil {
		return cvd.Snapshot{}, fmt.Errorf("commit the snapshot of %s: %w", name, err)
	}
	return snap, nil
}

// committed looks whether a commit that failed had happened before, and only its answer was lost; if not, the error stays.
func (s *Session) committed(ctx context.Context, name string, req wire.CommitRequest, snap *cvd.Snapshot, failed error) error {
	latest, err := s.c.Snapshot(ctx, name, "latest")
	if ctx.Err() != nil || err != nil || latest.ID == s.info.Latest || latest.Root != req.Root || !latest.Taken.Equal(req.Taken) {
		return failed
	}
	*snap = latest
	return nil
}

// Abandon gives the session up.
func (s *Session) Abandon(ctx context.Context) error {
	r := request{class: Control, method: http.MethodDelete, path: "/v1/sessions/" + s.info.ID}
	return s.c.once(ctx, r, nil)
}

// Keep renews the lease until ctx ends, for work during which nothing is asked for long. It returns the error
// that ended the session, or nil with ctx. A server that is out of reach is asked again.
func (s *Session) Keep(ctx context.Context) error {
	every := time.Duration(max(s.info.Lease, 3)) * time.Second / 3
	for sleep(ctx, every) {
		_, err := s.Have(ctx, nil)
		if ctx.Err() == nil && err != nil && !passing(err) {
			return err
		}
	}
	return nil
}
