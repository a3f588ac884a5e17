package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// line is a connection on which bytes arrive slowly.
type line struct {
	*httptest.ResponseRecorder
	left  int           // bytes to come
	pause time.Duration // before each KiB
	until time.Time
}

func (l *line) SetReadDeadline(t time.Time) error {
	l.until = t
	return nil
}

func (l *line) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	if !l.until.IsZero() && time.Now().Add(l.pause).After(l.until) {
		time.Sleep(time.Until(l.until))
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(l.pause)
	n := min(l.left, len(p), 1<<10)
	l.left -= n
	return n, nil
}

func (l *line) Close() error { return nil }

// Invariant 5: who sends nothing, or next to nothing, of a body for which others wait is cut off, and a slow line is not;
// nor is one that must wait for the server.
func TestHurry(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause time.Duration
		busy  time.Duration // of the server, after each read
		all   bool
		most  time.Duration
	}{
		{"256 kbit/s, four requests at once", 128 * time.Millisecond, 0, true, time.Hour},
		{"a server with a slow disk", 10 * time.Millisecond, time.Minute, true, 100 * time.Hour},
		{"trickling", 400 * time.Millisecond, 0, false, hurryTime},
		{"silent", time.Hour, 0, false, hurryTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &line{ResponseRecorder: httptest.NewRecorder(), left: 1 << 20, pause: tt.pause}
				r := &http.Request{Body: &counted{ReadCloser: newBody(l, http.NewResponseController(l))}}
				hurry(r)
				begun := time.Now()
				var err error
				for buf := make([]byte, 4<<10); err == nil; {
					_, err = r.Body.Read(buf)
					time.Sleep(tt.busy)
				}
				if (err == io.EOF) != tt.all {
					t.Errorf("%d bytes are left, %v", l.left, err)
				}
				if took := time.Since(begun); took > tt.most {
					t.Errorf("it held its place for %v", took)
				}
				if tt.all && !l.until.IsZero() {
					t.Error("the deadline outlives the body")
				}
			})
		})
	}
}
