package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// answerMax bounds JSON answers.
const answerMax = 64 << 20

// request is one call.
type request struct {
	class  Class
	method string
	path   string
	// body is sent anew at every repetition; kind is its content type.
	body []byte
	kind string
	// patient triples the wait for an answer: uploads and commits.
	patient bool
	// prompt is for what the server answers as it reads it: a longer silence is a cut link.
	prompt bool
	// pace, if not empty, goes along as wire.PaceHeader.
	pace string
	// heard, if not nil, listens to the answer, which may come in pieces.
	heard *hearing
}

// send makes one attempt. The answer's body must be closed; reading it fails with
// wire.ErrUnreachable where the link breaks.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	w := newWatch(ctx, c.opts.Limits, &r)
	about := w.ctx
	if r.heard != nil {
		about = httptrace.WithClientTrace(about, r.heard.trace())
	}
	req, err := http.NewRequestWithContext(about, r.method, c.base+r.path, nil)
	if err != nil {
		w.stop()
		return nil, fmt.Errorf("server address %s: %w", c.base, err)
	}
	if r.pace != "" {
		req.Header.Set(wire.PaceHeader, r.pace)
	}
	if r.body != nil {
		req.ContentLength = int64(len(r.body))
		req.GetBody = func() (io.ReadCloser, error) { return w.sending(bytes.NewReader(r.body)), nil }
		req.Body, _ = req.GetBody()
		req.Header.Set("Content-Type", r.kind)
		// The transport may repeat a request on another connection if an idle one turned out to be closed.
		req.Header["X-Idempotency-Key"] = nil
	}
	resp, err := c.http.Load()[r.class].Do(req)
	if err != nil {
		err = c.failure(ctx, w, r, err)
		w.stop()
		return nil, err
	}
	resp.Body = &watchedBody{ReadCloser: resp.Body, w: w, fail: func(err error) error { return c.failure(ctx, w, r, err) }}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}

// refusal is the server's error with the time it asks to wait.
func refusal(resp *http.Response) error {
	err := wire.ReadProblem(resp)
	if s, e := strconv.Atoi(resp.Header.Get("Retry-After")); e == nil && s > 0 {
		return &laterError{err, time.Duration(s) * time.Second}
	}
	return err
}

// failure says in words why there is no answer.
func (c *Client) failure(ctx context.Context, w *watch, r request, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, wire.ErrUnreachable) {
		return err
	}
	if cause := context.Cause(w.ctx); cause != nil {
		err = cause
	}
	var untrusted *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.As(err, &untrusted):
		return fmt.Errorf("the server at %s does not show the certificate it was known by: %w: %w", c.base, wire.ErrDenied, err)
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("the server at %s refuses this device's certificate: %w: %w", c.base, wire.ErrDenied, err)
	}
	return fmt.Errorf("%s %s: %w: %w", r.method, c.base+r.path, wire.ErrUnreachable, err)
}

// once makes one attempt and hands the answer's body to read.
func (c *Client) once(ctx context.Context, r request, read func(io.Reader) error) error {
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body := io.Reader(resp.Body)
	if r.heard != nil {
		body = r.heard.body(resp)
	}
	if read != nil {
		if err := read(body); err != nil {
			return fmt.Errorf("answer to %s %s: %w", r.method, r.path, err)
		}
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)) // so that the connection can be used again
	return err
}

// call is once, repeated while it makes sense.
func (c *Client) call(ctx context.Context, r request, read func(io.Reader) error) error {
	return c.retry(ctx, func() error { return c.once(ctx, r, read) })
}

// json calls with a JSON document (nil: none) and decodes the answer into out (nil: none).
func (c *Client) json(ctx context.Context, r request, in, out any) error {
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		r.body, r.kind = b, "application/json"
	}
	if out == nil {
		return c.call(ctx, r, nil)
	}
	return c.call(ctx, r, func(body io.Reader) error {
		return json.NewDecoder(io.LimitReader(body, answerMax)).Decode(out)
	})
}
