// Package api is the client of the admins' API. It passes documents on as they are; PROTOCOL.md describes them.
package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// Options say which server, and who asks.
type Options struct {
	// Server is its URL, such as https://looming.example:8443.
	Server string
	Token  string
	// CA is the certificate of the server's authority, in PEM; empty: the system's authorities.
	CA []byte
}

// Client asks one server.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// connectTimeout bounds how long a server may take to answer the telephone. What it then says may take longer.
const connectTimeout = 15 * time.Second

// New makes a client. It does not connect.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.Server)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("%w: the server's URL %q: want https://HOST:PORT", wire.ErrInvalid, o.Server)
	}
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("%w: the token: want one line of letters and digits, as admin.json has it", wire.ErrInvalid)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if len(o.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, fmt.Errorf("%w: the CA has no certificate in PEM", wire.ErrInvalid)
		}
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout: connectTimeout,
		TLSClientConfig:     config,
	}
	return &Client{base: base, token: o.Token, http: &http.Client{Transport: transport}}, nil
}

// Get reads a document.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (json.RawMessage, error) {
	return c.do(ctx, http.MethodGet, path, query, nil)
}

// Post changes something; body, if not nil, is sent as JSON. The answer may be empty.
func (c *Client) Post(ctx context.Context, path string, body any) (json.RawMessage, error) {
	return c.do(ctx, http.MethodPost, path, nil, body)
}

// Put replaces something.
func (c *Client) Put(ctx context.Context, path string, body any) (json.RawMessage, error) {
	return c.do(ctx, http.MethodPut, path, nil, body)
}

// Delete removes something.
func (c *Client) Delete(ctx context.Context, path string) error {
	_, err := c.do(ctx, http.MethodDelete, path, nil, nil)
	return err
}

// Path puts a path together from names, whatever is in them.
func Path(elements ...string) string {
	var b strings.Builder
	b.WriteString("/v1/admin")
	for _, e := range elements {
		b.WriteString("/" + url.PathEscape(e))
	}
	return b.String()
}

func (c *Client) do(ctx context.Context, method, path string, query url.Values, body any) (json.RawMessage, error) {
	req, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return nil, wire.ReadProblem(resp)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if len(b) > 0 && !json.Valid(b) {
		return nil, fmt.Errorf("%s answered with something else than JSON: is it a Looming server?", c.base)
	}
	return bytes.TrimSpace(b), nil
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, body any) (*http.Request, error) {
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(b)
	}
	target := strings.TrimSuffix(c.base.String(), "/") + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, sent)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if sent != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// unreachable says why nobody answered.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w: the certificate of %s is not to be trusted: %w: give its CA with --ca (GET %s/v1/ca on the server itself)",
			wire.ErrDenied, c.base, err, c.base)
	}
	return fmt.Errorf("%w: %w: does looming-server run there?", wire.ErrUnreachable, err)
}

// page is how lists are answered.
type page struct {
	Items  []json.RawMessage `json:"items"`
	Total  int64             `json:"total"`
	Offset int               `json:"offset"`
	Limit  int               `json:"limit"`
}

// List reads all pages of a list as one document, {"items":[...],"total":N}.
func (c *Client) List(ctx context.Context, path string, query url.Values) (json.RawMessage, error) {
	if query == nil {
		query = url.Values{}
	}
	all := struct {
		Items []json.RawMessage `json:"items"`
		Total int64             `json:"total"`
	}{Items: []json.RawMessage{}}
	for {
		query.Set("offset", fmt.Sprint(len(all.Items)))
		b, err := c.Get(ctx, path, query)
		if err != nil {
			return nil, err
		}
		var p page
		if err := json.Unmarshal(b, &p); err != nil {
			return nil, fmt.Errorf("%s answered with another document than expected: %w", c.base, err)
		}
		all.Items = append(all.Items, p.Items...)
		if all.Total = p.Total; len(p.Items) == 0 || int64(len(all.Items)) >= p.Total {
			return json.Marshal(all)
		}
	}
}
