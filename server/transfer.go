package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/looming-project/looming/server/internal/session"
	"github.com/looming-project/looming/vfs/wire"
)

// Limits of the device's bulk API.
const (
	// jsonMax is the longest JSON body: a prove request of wire.BatchMax proofs, or a commit with a tally.
	jsonMax = 16 << 20
	// stallTime is how long a body may bring nothing, or an answer may take none, before the connection is given up.
	stallTime = time.Minute
)

// transfer is the device's bulk API: upload sessions and chunks. It holds nothing between two requests.
type transfer struct {
	content *session.Service
	// device is who asks, as the certificate says; 0 answers nothing.
	device func(context.Context) int64
	// refuse answers with an error, and logs what is the server's.
	refuse func(http.ResponseWriter, *http.Request, error)
}

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
	ids, err := wire.ReadIDs(newPatient(w, r).body())
	if err != nil {
		return malformed(err)
	}
	return t.content.Fetch(r.Context(), device, ids, newPatient(w, r))
}

func (t *transfer) begin(w http.ResponseWriter, r *http.Request, device int64) error {
	var req wire.BeginRequest
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	s, err := t.content.Begin(r.Context(), device, req)
	if err != nil {
		return err
	}
	return writeJSON(w, s)
}

func (t *transfer) files(w http.ResponseWriter, r *http.Request, device int64) error {
	ids, err := wire.ReadIDs(newPatient(w, r).body())
	if err != nil {
		return malformed(err)
	}
	answers, err := t.content.Files(r.Context(), device, r.PathValue("id"), ids)
	if err != nil {
		return err
	}
	out := newPatient(w, r)
	return cut(wire.WriteFileAnswers(out, answers))
}

func (t *transfer) have(w http.ResponseWriter, r *http.Request, device int64) error {
	ids, err := wire.ReadIDs(newPatient(w, r).body())
	if err != nil {
		return malformed(err)
	}
	haves, err := t.content.Have(r.Context(), device, r.PathValue("id"), ids)
	if err != nil {
		return err
	}
	b := make([]byte, len(haves))
	for i, h := range haves {
		b[i] = byte(h)
	}
	_, err = newPatient(w, r).Write(b)
	return cut(err)
}

func (t *transfer) prove(w http.ResponseWriter, r *http.Request, device int64) error {
	var req wire.ProveRequest
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	reply, err := t.content.Prove(r.Context(), device, r.PathValue("id"), req)
	if err != nil {
		return err
	}
	return writeJSON(w, reply)
}

func (t *transfer) upload(w http.ResponseWriter, r *http.Request, device int64) error {
	reply, err := t.content.Upload(r.Context(), device, r.PathValue("id"), newPatient(w, r).body(), r.ContentLength)
	if err != nil {
		return err
	}
	return writeJSON(w, reply)
}

func (t *transfer) commit(w http.ResponseWriter, r *http.Request, device int64) error {
	var req wire.CommitRequest
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	snap, err := t.content.Commit(r.Context(), device, r.PathValue("id"), req)
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

func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, io.NopCloser(newPatient(w, r).body()), jsonMax))
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", wire.ErrInvalid, err)
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return cut(json.NewEncoder(w).Encode(v))
}

// patient reads a request's body and writes its answer. Each read and write has a deadline of its own, so that
// a slow line is waited for and a dead one is not.
type patient struct {
	w  http.ResponseWriter
	r  *http.Request
	rc *http.ResponseController
}

func newPatient(w http.ResponseWriter, r *http.Request) *patient {
	return &patient{w, r, http.NewResponseController(w)}
}

func (p *patient) body() io.Reader { return patientBody{p} }

type patientBody struct{ p *patient }

func (b patientBody) Read(buf []byte) (int, error) {
	// Where the connection has no deadlines (tests), none is kept.
	_ = b.p.rc.SetReadDeadline(time.Now().Add(stallTime))
	return b.p.r.Body.Read(buf)
}

func (p *patient) Write(b []byte) (int, error) {
	p.w.Header().Set("Content-Type", wire.TypeBinary) // has no effect after the first
	_ = p.rc.SetWriteDeadline(time.Now().Add(stallTime))
	return p.w.Write(b)
}

