package remote

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// askAgain is how often a device that waits for its approval asks.
const askAgain = 2 * time.Second

func jsonBody(v any) ([]byte, error) { return json.Marshal(v) }

// NewKey makes a device's key, which never leaves the device.
func NewKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// EncodeKey and DecodeKey convert a key to PEM (PKCS#8) and back.
func EncodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the device's key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// DecodeKey reads what EncodeKey wrote.
func DecodeKey(b []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("the device's key is not PEM")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the device's key: %w", err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the device's key is a %T, not ECDSA", k)
	}
	return key, nil
}

// CSR makes a certificate request for a device of that name, in PEM.
func CSR(key *ecdsa.PrivateKey, name string) (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		return "", fmt.Errorf("certificate request for %s: %w", name, err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// Fingerprint is the SHA-256 of the first certificate in PEM, as 64 hexadecimal digits.
func Fingerprint(certPEM []byte) (string, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return "", errors.New("no certificate in PEM")
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:]), nil
}

// FetchCA asks a server for its CA's certificate without knowing whom it talks to: its fingerprint must be compared by
// a person before it is used. It does check that the server's own certificate stands under it.
func FetchCA(ctx context.Context, url string, limits Limits) ([]byte, error) {
	limits.defaults()
	ctx, cancel := context.WithTimeout(ctx, limits.Dial+limits.Answer)
	defer cancel()
	h := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		//nolint:gosec // nothing is believed: the caller has the fingerprint compared.
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, "GET", strings.TrimSuffix(url, "/")+"/v1/ca", nil)
	if err != nil {
		return nil, fmt.Errorf("server address %q: %w", url, err)
	}
	resp, err := h.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s for its CA: %w: %w", url, wire.ErrUnreachable, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s for its CA: %w", url, wire.ReadProblem(resp))
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("ask %s for its CA: %w: %w", url, wire.ErrUnreachable, err)
	}
	return b, under(b, resp.TLS)
}

// under checks that a connection's certificate stands under the CA.
func under(caPEM []byte, state *tls.ConnectionState) error {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(caPEM) {
		return fmt.Errorf("%w: the server's CA is not a certificate in PEM", wire.ErrInvalid)
	}
	rest := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		rest.AddCert(c)
	}
	opts := x509.VerifyOptions{Roots: pool, Intermediates: rest, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if _, err := state.PeerCertificates[0].Verify(opts); err != nil {
		return fmt.Errorf("the server does not stand under the CA that it names: %w: %w", wire.ErrDenied, err)
	}
	return nil
}

// Enroll asks in and repeats the request until it is approved or refused, or ctx ends.
// waiting is called with each answer that says to wait.
func (c *Client) Enroll(ctx context.Context, req wire.EnrollRequest, waiting func(wire.EnrollReply)) (wire.EnrollReply, error) {
	for {
		var reply wire.EnrollReply
		err := c.json(ctx, request{class: Control, method: "POST", path: "/v1/enroll"}, req, &reply)
		if err != nil && !errors.Is(err, wire.ErrPending) {
			return reply, fmt.Errorf("enroll at %s: %w", c.base, err)
		}
		if err == nil && reply.State == "approved" {
			return reply, nil
		}
		waiting(reply)
		if !sleep(ctx, askAgain) {
			return reply, ctx.Err()
		}
	}
}

// NeedsRenewal says whether less than a third of the certificate's life is left.
func NeedsRenewal(cert *x509.Certificate, now time.Time) bool {
	return cert.NotAfter.Sub(now) < cert.NotAfter.Sub(cert.NotBefore)/3
}

// Renew asks for a new certificate for the same key and uses it from now on. It returns the chain in PEM for keeping.
func (c *Client) Renew(ctx context.Context, key *ecdsa.PrivateKey, name string) ([]byte, error) {
	csr, err := CSR(key, name)
	if err != nil {
		return nil, err
	}
	var reply wire.EnrollReply
	if err := c.json(ctx, request{class: Control, method: "POST", path: "/v1/renew"}, wire.RenewRequest{CSR: csr}, &reply); err != nil {
		return nil, fmt.Errorf("renew the device's certificate: %w", err)
	}
	cert, err := Pair([]byte(reply.Certificate), key)
	if err != nil {
		return nil, fmt.Errorf("renew the device's certificate: %w", err)
	}
	c.SetCertificate(cert)
	return []byte(reply.Certificate), nil
}

// Pair puts a certificate chain in PEM and its key together, and fails if they do not belong together.
func Pair(certPEM []byte, key *ecdsa.PrivateKey) (tls.Certificate, error) {
	keyPEM, err := EncodeKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// KeepRenewed renews the certificate whenever a third of its life is left, until ctx ends, and hands each new one to
// keep. A failure is repeated an hour later: there is time.
func (c *Client) KeepRenewed(ctx context.Context, key *ecdsa.PrivateKey, name string, keep func(certPEM []byte) error) error {
	for {
		cert := c.cert.Load()
		if cert.Leaf == nil {
			return errors.New("renew the device's certificate: there is none")
		}
		life := cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)
		wait := max(time.Until(cert.Leaf.NotAfter.Add(-life/3)), 0)
		if wait == 0 {
			chain, err := c.Renew(ctx, key, name)
			if err == nil {
				err = keep(chain)
			}
			switch {
			case errors.Is(err, wire.ErrDenied):
				return err
			case err != nil:
				wait = min(time.Hour, life/100)
			}
		}
		if !sleep(ctx, max(wait, time.Second)) {
			return nil
		}
	}
}
