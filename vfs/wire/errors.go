package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// Sentinels of what can go wrong across the network. A problem that came over
// the wire unwraps to one of them, so errors.Is works on both sides.
var (
	ErrInvalid error = final("invalid request")
	ErrDenied  error = final("not allowed")
	ErrPending error = final("waiting for approval")

	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflict")
	ErrExpired     = errors.New("upload session expired")
	ErrIncomplete  = errors.New("snapshot incomplete")
	ErrFull        = errors.New("out of space")
	ErrIntegrity   = errors.New("integrity")
	ErrUnavailable = errors.New("temporarily unavailable")
	ErrInternal    = errors.New("internal error")
	// ErrUnreachable never crosses the wire: no server answered.
	ErrUnreachable = errors.New("server out of reach")
)

// final is a refusal: whoever waits for bytes need not ask again.
type final string

func (f final) Error() string { return string(f) }

// Final says that asking again does not help.
func (final) Final() bool { return true }

// codes is the one table from error to wire code and HTTP status. What has a
// kind is told apart on the other side, and counts as its kind there too.
var codes = []struct {
	code   string
	status int
	err    error
	kind   error
}{
	{"chunk-damaged", http.StatusUnprocessableEntity, chunk.ErrDamaged, ErrIntegrity},
	{"chunk-not-found", http.StatusNotFound, chunk.ErrNotFound, ErrNotFound},
	{"bad-format", http.StatusBadRequest, cvd.ErrFormat, ErrInvalid},
	{"invalid", http.StatusBadRequest, ErrInvalid, nil},
	{"pending", http.StatusForbidden, ErrPending, nil},
	{"denied", http.StatusForbidden, ErrDenied, nil},
	{"not-found", http.StatusNotFound, ErrNotFound, nil},
	{"expired", http.StatusGone, ErrExpired, nil},
	{"incomplete", http.StatusConflict, ErrIncomplete, nil},
	{"conflict", http.StatusConflict, ErrConflict, nil},
	{"full", http.StatusInsufficientStorage, ErrFull, nil},
	{"integrity", http.StatusUnprocessableEntity, ErrIntegrity, nil},
	{"unavailable", http.StatusServiceUnavailable, ErrUnavailable, nil},
	{"internal", http.StatusInternalServerError, ErrInternal, nil},
}

// Problem is an RFC 9457 problem document, the body of every failed request.
type Problem struct {
	// Type is "looming:" and a code of the table in PROTOCOL.md.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail is for a person: what failed, on what, and what to do.
	Detail string `json:"detail,omitempty"`
	// Missing lists chunks that an incomplete snapshot lacks, at most 1000.
	Missing []chunk.ID `json:"missing,omitempty"`
}

// Error is the detail, or the title where there is none.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// Unwrap gives the sentinels, so that errors.Is works. A code that this version
// does not know is internal.
func (p *Problem) Unwrap() []error {
	for _, c := range codes {
		if p.Type != prefix+c.code {
			continue
		}
		if c.kind != nil {
			return []error{c.err, c.kind}
		}
		return []error{c.err}
	}
	return []error{ErrInternal}
}

const prefix = "looming:"

// ProblemOf makes the document for an error. Errors without a sentinel become
// "internal", and their text stays on the server.
func ProblemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return &Problem{Type: prefix + c.code, Title: c.err.Error(), Status: c.status, Detail: err.Error()}
		}
	}
	return &Problem{
		Type: prefix + "internal", Title: ErrInternal.Error(), Status: http.StatusInternalServerError,
		Detail: "the server could not do this; its log says why",
	}
}

// WriteProblem answers a request with an error.
func WriteProblem(w http.ResponseWriter, err error) {
	p := ProblemOf(err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
}

// ReadProblem reads the error out of a response that is not a success. What
// somebody else answered in the server's place, a proxy say, is internal or unavailable.
func ReadProblem(r *http.Response) error {
	p := &Problem{}
	b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil && json.Unmarshal(b, p) == nil && strings.HasPrefix(p.Type, prefix) {
		p.Status = r.StatusCode
		return p
	}
	code := "internal"
	switch r.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		code = "unavailable"
	}
	return &Problem{Type: prefix + code, Title: fmt.Sprintf("the server answered %s", r.Status), Status: r.StatusCode}
}
