package remotetest

import (
	"context"
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

type sessionHandler func(x *session, w http.ResponseWriter, r *http.Request) error

func (s *Server) inSession(h sessionHandler) handler {
	return func(device string, w http.ResponseWriter, r *http.Request) error {
		var x *session
		s.locked(func() {
			if x = s.sessions[r.PathValue("id")]; x != nil && (x.expired || x.device != device) {
				x = nil
			}
		})
		if x == nil {
			return wire.ErrExpired
		}
		return h(x, w, r)
	}
}

func (s *Server) begin(device string, w http.ResponseWriter, r *http.Request) error {
	var req wire.BeginRequest
	if err := read(r, &req); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.cvds[req.CVD]
	if d == nil {
		d = &desktop{owner: device}
		s.cvds[req.CVD] = d
	}
	if d.owner != device {
		return fmt.Errorf("%w: desktop %s", wire.ErrDenied, req.CVD)
	}
	s.serial++
	info := wire.Session{ID: fmt.Sprint(s.serial), Lease: s.Lease}
	if len(d.snapshots) > 0 {
		info.Latest, info.Root = d.snapshots[0].ID, d.snapshots[0].Root
	}
	s.sessions[info.ID] = &session{device: device, cvd: req.CVD}
	return answer(w, info)
}

func (s *Server) haveLocked(device string, id chunk.ID) wire.Have {
	switch {
	case s.store[id] == nil:
		return wire.Missing
	case s.knows[device][id]:
		return wire.Present
	}
	return wire.Unproven
}

func (s *Server) have(x *session, w http.ResponseWriter, r *http.Request) error {
	ids, err := wire.ReadIDs(r.Body)
	if err != nil {
		return err
	}
	s.Asked.Add(int64(len(ids)))
	out := make([]byte, len(ids))
	s.locked(func() {
		for i, id := range ids {
			out[i] = byte(s.haveLocked(x.device, id))
		}
	})
	_, err = w.Write(out)
	return err
}

func (s *Server) askFiles(x *session, w http.ResponseWriter, r *http.Request) error {
	ids, err := wire.ReadIDs(r.Body)
	if err != nil {
		return err
	}
	s.Asked.Add(int64(len(ids)))
	out := make([]wire.FileAnswer, len(ids))
	s.locked(func() {
		for i, id := range ids {
			a, ok := s.files[id]
			if !ok {
				continue
			}
			out[i], out[i].Have = a, wire.Present
			for _, ref := range a.Content.Chunks {
				switch s.haveLocked(x.device, ref.ID) {
				case wire.Missing:
					out[i] = wire.FileAnswer{}
				case wire.Unproven:
					out[i].Have = wire.Unproven
				}
			}
		}
	})
	return wire.WriteFileAnswers(w, out)
}

func (s *Server) prove(x *session, w http.ResponseWriter, r *http.Request) error {
	var req wire.ProveRequest
	if err := read(r, &req); err != nil {
		return err
	}
	var reply wire.ProveReply
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range req.IDs {
		n, err := chunk.FrameSize(s.store[id])
		if err != nil {
			continue
		}
		ch := wire.Challenge{ID: id, Key: chunk.Sum(id[:]), Offset: uint32(n / 3), Length: uint32(n - n/3)}
		s.challenge[id] = ch
		reply.Challenges = append(reply.Challenges, ch)
	}
	for _, p := range req.Proofs {
		if s.provesLocked(p) {
			s.Proved.Add(1)
			s.know(x.device, p.ID)
		} else {
			reply.Refused = append(reply.Refused, p.ID)
		}
	}
	return answer(w, reply)
}

func (s *Server) provesLocked(p wire.Proof) bool {
	ch, ok := s.challenge[p.ID]
	plain, err := chunk.Decode(nil, s.store[p.ID], p.ID)
	if !ok || err != nil {
		return false
	}
	h, err := blake3.NewKeyed(ch.Key[:])
	if err != nil {
		return false
	}
	_, _ = h.Write(plain[ch.Offset : ch.Offset+ch.Length])
	return chunk.ID(h.Sum(nil)) == p.MAC
}

// upload keeps whole records even if the connection breaks, as the protocol says.
func (s *Server) upload(x *session, w http.ResponseWriter, r *http.Request) error {
	var reply wire.UploadReply
	var buf, plain []byte
	for {
		f, b, err := wire.ReadFrame(r.Body, buf)
		if buf = b; errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return answer(w, reply)
		}
		if err != nil {
			return err
		}
		if plain, err = chunk.Decode(plain[:0], f.Bytes, f.ID); err != nil {
			return fmt.Errorf("%w: %w", wire.ErrIntegrity, err)
		}
		reply.Chunks++
		reply.Bytes += int64(len(f.Bytes))
		s.Uploaded.Add(1)
		s.UploadedBytes.Add(int64(len(f.Bytes)))
		s.locked(func() {
			s.store[f.ID] = append([]byte{}, f.Bytes...)
			s.know(x.device, f.ID)
		})
	}
}

func (s *Server) abandon(x *session, _ http.ResponseWriter, _ *http.Request) error {
	s.locked(func() { x.expired = true })
	return nil
}

func (s *Server) commit(x *session, w http.ResponseWriter, r *http.Request) error {
	var req wire.CommitRequest
	if err := read(r, &req); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &check{s: s, device: x.device, seen: map[chunk.ID]bool{}}
	top := k.root(chunk.ID(req.Root))
	if len(k.missing) > 0 {
		return &wire.Problem{Type: "looming:incomplete", Title: "incomplete", Status: http.StatusConflict, Missing: k.missing}
	}
	d := s.cvds[x.cvd]
	snap := cvd.Snapshot{
		ID: cvd.NewSnapshotID(), CVD: x.cvd, Root: req.Root, Device: x.device, Host: req.Host, Taken: req.Taken,
		Files: top.Sums.Files, Dirs: top.Sums.Dirs, Bytes: top.Sums.Bytes, Unreadable: req.Unreadable,
	}
	d.snapshots = append([]cvd.Snapshot{snap}, d.snapshots...)
	x.expired = true
	if s.AfterCommit != nil {
		s.AfterCommit()
	}
	return answer(w, snap)
}

// check walks a tree and notes what is missing or unproven.
type check struct {
	s       *Server
	device  string
	seen    map[chunk.ID]bool
	missing []chunk.ID
}

func (k *check) has(id chunk.ID) bool {
	if k.seen[id] {
		return false
	}
	k.seen[id] = true
	if k.s.haveLocked(k.device, id) != wire.Present {
		k.missing = append(k.missing, id)
		return false
	}
	return true
}

func (k *check) plain(id chunk.ID) []byte {
	plain, err := chunk.Decode(nil, k.s.store[id], id)
	if err != nil {
		k.missing = append(k.missing, id)
	}
	return plain
}

func (k *check) root(id chunk.ID) *cvd.Entry {
	if !k.has(id) {
		return &cvd.Entry{}
	}
	top, err := cvd.DecodeRoot(k.plain(id))
	if err != nil {
		k.missing = append(k.missing, id)
		return &cvd.Entry{}
	}
	k.node(top.Tree)
	return top
}

func (k *check) node(id chunk.ID) {
	if !k.has(id) {
		return
	}
	n, err := cvd.DecodeNode(k.plain(id))
	if err != nil {
		k.missing = append(k.missing, id)
		return
	}
	n.Refs(k.node, func(ref cvd.Ref) { k.list(ref.ID) }, func(ref cvd.Ref) { k.has(ref.ID) })
	for i := range n.Entries {
		if e := &n.Entries[i]; e.Type == cvd.File && len(e.Content.Chunks) > 0 {
			k.s.files[e.Content.ID] = wire.FileAnswer{Size: e.Size, Content: e.Content}
		}
	}
}

func (k *check) list(id chunk.ID) {
	if !k.has(id) {
		return
	}
	refs, err := cvd.DecodeList(k.plain(id))
	if err != nil {
		k.missing = append(k.missing, id)
	}
	for _, ref := range refs {
		k.has(ref.ID)
	}
}

// chunks answers with what the device may know of.
func (s *Server) chunks(device string, w http.ResponseWriter, r *http.Request) error {
	ids, err := wire.ReadIDs(r.Body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", wire.TypeBinary)
	var out io.Writer = w
	if _, err := wire.ParseRate(r.Header.Get(wire.PaceHeader)); err == nil && !s.Mute {
		w.Header().Set(wire.ClockHeader, "test")
		out = &pieceWriter{w, time.Now()}
	}
	for _, id := range ids {
		f := wire.Frame{Status: wire.FrameMissing, ID: id}
		s.locked(func() {
			switch {
			case s.haveLocked(device, id) != wire.Present:
			case s.damaged[id]:
				f.Status = wire.FrameDamaged
			default:
				f.Status, f.Bytes = wire.FrameOK, s.store[id]
			}
		})
		if err := wire.WriteFrame(out, f); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if wire.WriteFrame(out, wire.Frame{Status: wire.FrameEnd}) != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// pieceWriter writes pieces as fast as it can, each at once.
type pieceWriter struct {
	w     http.ResponseWriter
	since time.Time
}

func (p *pieceWriter) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		k := min(len(b)-n, 1000)
		_, err = p.w.Write(append(wire.AppendPieceHead(nil, k, time.Since(p.since)), b[n:n+k]...))
		n += k
	}
	p.w.(http.Flusher).Flush()
	return n, err
}

// Source reads from the store as the test, past all rights.
func (s *Server) Source() chunk.Source { return all{s} }

type all struct{ s *Server }

// Fetch implements chunk.Source.
func (a all) Fetch(_ context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	for i, id := range ids {
		var frame []byte
		a.s.locked(func() { frame = a.s.store[id] })
		if frame == nil {
			if err := got(i, nil, chunk.ErrNotFound); err != nil {
				return err
			}
			continue
		}
		plain, err := chunk.Decode(nil, frame, id)
		if err := got(i, plain, err); err != nil {
			return err
		}
	}
	return nil
}
