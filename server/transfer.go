package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"

	"github.com/looming-project/looming/server/internal/session"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// The longest JSON bodies: of a request that begins a session, of one with wire.BatchMax proofs, and of a commit.
const (
	beginMax  = 4 << 10
	proveMax  = 4 << 20
	commitMax = 64 << 10
)

// transfer is the device's bulk API: upload sessions and chunks. It holds nothing between two requests.
type transfer struct {
	content *session.Service
	limits  *limits
	// device is who asks, as the certificate says; 0 answers nothing.
	device func(context.Context) int64
	// refuse answers with an error, and logs what is the server's.
	refuse func(http.ResponseWriter, *http.Request, error)
}

// runTransfer does what goes on beside the requests of devices, until ctx ends.
func (s *Server) runTransfer(ctx context.Context) error { return s.content.Run(ctx) }

// routes adds the handlers to mux.
func (t *transfer) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/chunks", t.wrap(t.fetch))
	mux.HandleFunc("POST /v1/sessions", t.wrap(t.begin))
	mux.HandleFunc("POST /v1/sessions/{id}/files", t.wrap(t.files))
	mux.HandleFunc("POST /v1/sessions/{id}/have", t.wrap(t.have))
	mux.HandleFunc("POST /v1/sessions/{id}/prove", t.wrap(t.prove))
	mux.HandleFunc("POST /v1/sessions/{id}/chunks", t.wrap(t.upload))
	mux.HandleFunc("POST /v1/sessions/{id}/commit", t.wrap(t.commit))
	mux.HandleFunc("DELETE /v1/sessions/{id}", t.wrap(t.abandon))
}

// wrap answers with the error of a handler. An answer that began is broken off instead, so that the endpoint notices.
func (t *transfer) wrap(h func(http.ResponseWriter, *http.Request, int64) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		device := t.device(r.Context())
		err := fmt.Errorf("%w: show a device's certificate", wire.ErrDenied)
		if device != 0 {
			err = h(w, r, device)
		}
		var cut *session.Cut
		if errors.As(err, &cut) {
			panic(http.ErrAbortHandler)
		}
		if err != nil {
			t.refuse(w, r, err)
		}
	}
}

func (t *transfer) fetch(w http.ResponseWriter, r *http.Request, device int64) error {
	ids, err := wire.ReadIDs(r.Body)
	if err != nil {
		return malformed(err)
	}
	how, err := t.pace(r, device, len(ids))
	if err != nil {
		return err
	}
	if how.Pieces {
		w.Header().Set(wire.ClockHeader, t.content.Clock())
	}
	if limit := how.Limit(); limit > 0 {
		w.Header().Set(wire.LimitHeader, wire.FormatRate(limit))
	}
	return t.content.Fetch(r.Context(), device, ids, how, binaryAnswer(w))
}

// pace is how a device wants its answer, and may have it.
func (t *transfer) pace(r *http.Request, device int64, asked int) (how session.Pace, err error) {
	switch h := r.Header.Get(wire.PaceHeader); h {
	case "":
		how.Demand = asked <= session.DemandMax
	case wire.PaceDemand:
		how.Demand = true
	default:
		how.Pieces = true
		how.Rate, err = wire.ParseRate(h)
	}
	addr, _ := netip.ParseAddr(clientHost(r)) // one that is none is in no subnet
	how.Limit = func() float64 {
		l := t.limits.of(device, addr)
		if how.Demand && !l.Demand {
			return 0
		}
		return float64(l.Download)
	}
	return how, err
}

// slowly is the body of an upload, taken no faster than the device may send it.
func (t *transfer) slowly(r *http.Request, device int64) io.Reader {
	addr, _ := netip.ParseAddr(clientHost(r))
	limit := func() float64 { return float64(t.limits.of(device, addr).Upload) }
	return t.content.Slowly(r.Context(), device, limit, r.Body)
}

func (t *transfer) begin(w http.ResponseWriter, r *http.Request, device int64) error {
	var req wire.BeginRequest
	if err := readJSON(w, r, beginMax, &req); err != nil {
		return err
	}
	s, err := t.content.Begin(r.Context(), device, req)
	if err != nil {
		return err
	}
	return writeJSON(w, s)
}

func (t *transfer) files(w http.ResponseWriter, r *http.Request, device int64) error {
	answers, err := within(t.content, r, session.Asks, device, func() ([]wire.FileAnswer, error) {
		ids, err := wire.ReadIDs(r.Body)
		if err != nil {
			return nil, malformed(err)
		}
		return t.content.Files(r.Context(), device, r.PathValue("id"), ids)
	})
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(binaryAnswer(w), 64<<10)
	if err := wire.WriteFileAnswers(out, answers); err != nil {
		return cut(err)
	}
	return cut(out.Flush())
}

func (t *transfer) have(w http.ResponseWriter, r *http.Request, device int64) error {
	haves, err := within(t.content, r, session.Asks, device, func() ([]wire.Have, error) {
		ids, err := wire.ReadIDs(r.Body)
		if err != nil {
			return nil, malformed(err)
		}
		return t.content.Have(r.Context(), device, r.PathValue("id"), ids)
	})
	if err != nil {
		return err
	}
	b := make([]byte, len(haves))
	for i, h := range haves {
		b[i] = byte(h)
	}
	_, err = binaryAnswer(w).Write(b)
	return cut(err)
}

func (t *transfer) prove(w http.ResponseWriter, r *http.Request, device int64) error {
	reply, err := within(t.content, r, session.Proofs, device, func() (wire.ProveReply, error) {
		var req wire.ProveRequest
		if err := readJSON(w, r, proveMax, &req); err != nil {
			return wire.ProveReply{}, err
		}
		return t.content.Prove(r.Context(), device, r.PathValue("id"), req)
	})
	if err != nil {
		return err
	}
	return writeJSON(w, reply)
}

func (t *transfer) upload(w http.ResponseWriter, r *http.Request, device int64) error {
	hurry(r)
	reply, err := t.content.Upload(r.Context(), device, r.PathValue("id"), t.slowly(r, device), r.ContentLength)
	if err != nil {
		return err
	}
	return writeJSON(w, reply)
}

func (t *transfer) commit(w http.ResponseWriter, r *http.Request, device int64) error {
	snap, err := within(t.content, r, session.Commits, device, func() (cvd.Snapshot, error) {
		var req wire.CommitRequest
		if err := readJSON(w, r, commitMax, &req); err != nil {
			return cvd.Snapshot{}, err
		}
		return t.content.Commit(r.Context(), device, r.PathValue("id"), req)
	})
	if err != nil {
		return err
	}
	return writeJSON(w, snap)
}

func (t *transfer) abandon(w http.ResponseWriter, r *http.Request, device int64) error {
	if err := t.content.Abandon(r.Context(), device, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// binaryAnswer names the type of a body that is not JSON.
func binaryAnswer(w http.ResponseWriter) http.ResponseWriter {
	w.Header().Set("Content-Type", wire.TypeBinary)
	return w
}

// cut is an error of writing an answer: the connection is of no use any more.
func cut(err error) error {
	if err != nil {
		return &session.Cut{Err: err}
	}
	return nil
}

// malformed is an error of reading a short body.
func malformed(err error) error {
	if errors.Is(err, wire.ErrInvalid) {
		return err
	}
	return fmt.Errorf("%w: the request broke off: %w", wire.ErrInvalid, err)
}

// within does what a place is needed for, the reading of the body included. What it gives is written without the place.
func within[T any](c *session.Service, r *http.Request, kind session.Kind, device int64, do func() (T, error)) (v T, err error) {
	leave, err := c.Enter(r.Context(), kind, device)
	if err != nil {
		return v, err
	}
	defer leave()
	hurry(r)
	return do()
}

func readJSON(w http.ResponseWriter, r *http.Request, most int64, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", wire.ErrInvalid, err)
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return cut(json.NewEncoder(w).Encode(v))
}
