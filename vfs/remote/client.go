package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// Class separates traffic: each has connections of its own.
type Class int

// The classes. Demand is for bytes that somebody waits for, Ahead for those that he will want next, Bulk for prefetch and
// restores, Upload for snapshots, Control for everything small.
const (
	Demand Class = iota
	Ahead
	Bulk
	Upload
	Control
	classes
)

var classNames = [classes]string{"demand", "ahead", "bulk", "upload", "control"}

func (c Class) String() string { return classNames[c] }

// Options say which server to talk to, and as whom.
type Options struct {
	// URL is the server's address: https://host:port.
	URL string
	// CA is the certificate, in PEM, under which the server's must stand.
	CA []byte
	// Cert is the device's certificate and key; zero before it is enrolled.
	Cert tls.Certificate
	// Limits bound waiting; zero fields have defaults.
	Limits Limits
	// Notice, if set, is told when a call failed and is going to be repeated after wait. Several
	// goroutines may call it.
	Notice func(err error, wait time.Duration)
}

// Limits bound how long a Client waits.
type Limits struct {
	// Dial bounds making a connection, TLS included; 10 s by default.
	Dial time.Duration
	// Answer bounds the wait for an answer to begin, 60 s by default. Commits and uploads may take three times as long.
	Answer time.Duration
	// Idle bounds the silence within a body, and before the first chunk, 15 s by default.
	Idle time.Duration
	// Patience bounds for how long a call repeats itself, 5 minutes by default; negative: not at all.
	Patience time.Duration
	// Connections bounds the connections of each class, 4 by default.
	Connections int
}

func (l *Limits) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&l.Dial, 10*time.Second)
	set(&l.Answer, 60*time.Second)
	set(&l.Idle, 15*time.Second)
	set(&l.Patience, 5*time.Minute)
	if l.Connections == 0 {
		l.Connections = 4
	}
}

// Client talks to a server. It may be used from several goroutines.
type Client struct {
	base   string
	opts   Options
	pool   *x509.CertPool
	cert   atomic.Pointer[tls.Certificate]
	http   atomic.Pointer[[classes]*http.Client]
	counts [classes]count
	pace   atomic.Pointer[string] // of bulk answers, as wire.PaceHeader has it; nil: as the server likes
	ear    ear
}

// New returns a Client. It does not connect.
func New(opts Options) (*Client, error) {
	opts.Limits.defaults()
	u, err := url.Parse(opts.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w: server address %q: want https://HOST:PORT", wire.ErrInvalid, opts.URL)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(opts.CA) {
		return nil, errors.New("the server's CA certificate is missing or not PEM: enroll the device again")
	}
	c := &Client{base: strings.TrimSuffix(u.Scheme+"://"+u.Host+u.Path, "/"), opts: opts, pool: pool, ear: ear{began: time.Now()}}
	c.SetCertificate(opts.Cert)
	return c, nil
}

func (c *Client) transport(class Class, cert *tls.Certificate) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: counted(&net.Dialer{
			Timeout:         c.opts.Limits.Dial,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 4},
		}, &c.counts[class]),
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS13,
			RootCAs:    c.pool,
			NextProtos: []string{"http/1.1"},
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return cert, nil
			},
			ClientSessionCache: tls.NewLRUClientSessionCache(8),
		},
		TLSHandshakeTimeout: c.opts.Limits.Dial,
		MaxConnsPerHost:     c.opts.Limits.Connections,
		MaxIdleConnsPerHost: c.opts.Limits.Connections,
		IdleConnTimeout:     5 * time.Minute,
		DisableCompression:  true,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      64 << 10,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
}

// SetCertificate makes everything that begins from now on use another certificate, on connections of its own.
func (c *Client) SetCertificate(cert tls.Certificate) {
	c.cert.Store(&cert)
	var set [classes]*http.Client
	for class := range set {
		set[class] = &http.Client{Transport: c.transport(Class(class), &cert)}
	}
	if old := c.http.Swap(&set); old != nil {
		closeIdle(old)
	}
}

// URL is the server's address.
func (c *Client) URL() string { return c.base }

// Close closes the connections that nobody uses. The Client stays usable.
func (c *Client) Close() { closeIdle(c.http.Load()) }

func closeIdle(set *[classes]*http.Client) {
	for _, h := range set {
		h.CloseIdleConnections()
	}
}
