package wire_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

var sentinels = map[string]error{
	"invalid": wire.ErrInvalid, "denied": wire.ErrDenied, "pending": wire.ErrPending, "not-found": wire.ErrNotFound,
	"conflict": wire.ErrConflict, "expired": wire.ErrExpired, "incomplete": wire.ErrIncomplete, "full": wire.ErrFull,
	"integrity": wire.ErrIntegrity, "unavailable": wire.ErrUnavailable, "internal": wire.ErrInternal,
	"chunk-damaged": chunk.ErrDamaged, "chunk-not-found": chunk.ErrNotFound, "bad-format": cvd.ErrFormat,
}

// kinds are what an error of the key also is, on either side of the wire.
var kinds = map[error]error{
	chunk.ErrDamaged: wire.ErrIntegrity, chunk.ErrNotFound: wire.ErrNotFound, cvd.ErrFormat: wire.ErrInvalid,
}

// across sends an error over the wire.
func across(t *testing.T, err error) (*http.Response, error) {
	t.Helper()
	w := httptest.NewRecorder()
	wire.WriteProblem(w, err)
	r := w.Result()
	t.Cleanup(func() { _ = r.Body.Close() })
	return r, wire.ReadProblem(r)
}

// What an error is on the server, it is on the endpoint, and nothing else.
func TestErrorsAreTheSameAcrossTheWire(t *testing.T) {
	for code, sent := range sentinels {
		r, got := across(t, fmt.Errorf("pack 7 of volume /srv: %w: ask your admin", sent))
		for _, other := range sentinels {
			want := other == sent || kinds[sent] == other
			if errors.Is(got, other) != want {
				t.Errorf("%s: errors.Is(%v, %v) = %v", code, got, other, !want)
			}
		}
		if !strings.Contains(got.Error(), "volume /srv") || !strings.Contains(got.Error(), "ask your admin") {
			t.Errorf("%s: the text is %q: what a person needs is lost", code, got)
		}
		if r.StatusCode < 400 || r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: status %d, type %q", code, r.StatusCode, r.Header.Get("Content-Type"))
		}
		_, again := across(t, got) // a server that asks another one passes it on
		if !errors.Is(again, sent) {
			t.Errorf("%s: lost on its second way", code)
		}
	}
}

// The specification has every code with its status, and no others.
func TestProtocolListsEveryCode(t *testing.T) {
	spec, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for code, sent := range sentinels {
		p := wire.ProblemOf(sent)
		if p.Type != "looming:"+code || !strings.Contains(string(spec), fmt.Sprintf("\n| %s | %d | ", code, p.Status)) {
			t.Errorf("%v is %s with status %d: PROTOCOL.md does not say so", sent, p.Type, p.Status)
		}
	}
}

// What has no sentinel may hold secrets: its text stays on the server.
func TestOtherErrorsStayOnTheServer(t *testing.T) {
	for _, sent := range []error{errors.New("pq: password of looming"), io.ErrUnexpectedEOF, wire.ErrUnreachable} {
		r, got := across(t, sent)
		if !errors.Is(got, wire.ErrInternal) || r.StatusCode != http.StatusInternalServerError || strings.Contains(got.Error(), sent.Error()) {
			t.Errorf("%v became %v with status %d", sent, got, r.StatusCode)
		}
	}
}

func TestMissingChunksCross(t *testing.T) {
	want := []chunk.ID{chunk.Sum(nil), chunk.Sum([]byte("x"))}
	p := wire.ProblemOf(wire.ErrIncomplete)
	p.Missing = want
	_, got := across(t, fmt.Errorf("commit: %w", p))
	var q *wire.Problem
	if !errors.As(got, &q) || len(q.Missing) != 2 || q.Missing[1] != want[1] || !errors.Is(got, wire.ErrIncomplete) {
		t.Errorf("%+v", got)
	}
}

// Answers that no Looming server gave.
func TestForeignAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   error
	}{
		{502, "<html>Bad Gateway</html>", wire.ErrUnavailable},
		{503, "", wire.ErrUnavailable},
		{504, `{"type":"about:blank"}`, wire.ErrUnavailable},
		{500, "oops", wire.ErrInternal},
		{404, "404 page not found", wire.ErrInternal},
		{403, `{"type":""}`, wire.ErrInternal},
		{418, `{"type":"looming:teapot","title":"of a later version"}`, wire.ErrInternal},
		{400, `{"type":"looming:invalid","title":"t","status":200}`, wire.ErrInvalid},
		{400, `[1,2]`, wire.ErrInternal},
	} {
		r := &http.Response{StatusCode: c.status, Status: http.StatusText(c.status), Body: io.NopCloser(strings.NewReader(c.body))}
		err := wire.ReadProblem(r)
		var p *wire.Problem
		if !errors.Is(err, c.want) || !errors.As(err, &p) || p.Status != c.status || err.Error() == "" {
			t.Errorf("%d %q is %v, want %v", c.status, c.body, err, c.want)
		}
	}
}

func TestABrokenBodyIsAnError(t *testing.T) {
	r := &http.Response{StatusCode: 503, Status: "503", Body: io.NopCloser(brokenReader{})}
	if err := wire.ReadProblem(r); !errors.Is(err, wire.ErrUnavailable) {
		t.Error(err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func FuzzProblem(f *testing.F) {
	for _, sent := range sentinels {
		b, err := json.Marshal(wire.ProblemOf(sent))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, 400)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		r := &http.Response{StatusCode: status, Status: "s", Body: io.NopCloser(strings.NewReader(string(body)))}
		err := wire.ReadProblem(r)
		known := 0
		for _, sent := range sentinels {
			if errors.Is(err, sent) {
				known++
			}
		}
		if err == nil || known == 0 || known > 2 {
			t.Fatalf("%q is %v, of %d kinds", body, err, known)
		}
	})
}
