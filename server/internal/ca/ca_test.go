package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

func authority(t *testing.T) *Authority {
	t.Helper()
	made, err := Make(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a, err := Load(made)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(encode(pemRequest, der))
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// device is a certificate and key that a took in.
func device(t *testing.T, a *Authority, name string) tls.Certificate {
	t.Helper()
	key := ecKey(t)
	r, err := ParseRequest(request(t, key))
	if err != nil {
		t.Fatal(err)
	}
	issued, err := a.Issue(r, name)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(issued.PEM, encode(pemKey, secret))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A device's certificate holds for its own authority and for its time, as a client and as nothing else.
func TestVerifyDevice(t *testing.T) {
	a, other := authority(t), authority(t)
	cert := device(t, a, "desk-1").Leaf
	if cert.Subject.CommonName != "desk-1" || cert.IsCA {
		t.Errorf("issued %+v", cert.Subject)
	}
	if err := a.VerifyDevice(cert); err != nil {
		t.Error(err)
	}
	if err := other.VerifyDevice(cert); !errors.Is(err, wire.ErrDenied) {
		t.Errorf("at a foreign authority: %v", err)
	}
	server, err := a.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if own, err := server.Certificate(); err != nil || a.VerifyDevice(own.Leaf) == nil {
		t.Errorf("a server's certificate passes for a device's: %v", err)
	}
	a.now = func() time.Time { return time.Now().Add(deviceLife + time.Hour) }
	if err := a.VerifyDevice(cert); !errors.Is(err, wire.ErrDenied) {
		t.Errorf("after its time: %v", err)
	}
}

// Requests without proof of the key, with weak keys, or that are no requests, are invalid.
func TestParseRequest(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := request(t, ecKey(t))
	forged := []byte(good)
	forged[len(forged)/2] ^= 1
	for name, text := range map[string]string{
		"empty": "", "noise": "noise", "a certificate": string(authority(t).PEM()),
		"a weak key": request(t, weak), "a forged one": string(forged),
	} {
		if _, err := ParseRequest(text); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseRequest(good); err != nil {
		t.Error(err)
	}
}

// A server's certificate is good for the names given and for localhost, and is replaced before it ends.
func TestServerCertificate(t *testing.T) {
	a := authority(t)
	s, err := a.NewServer([]string{"looming.example", "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"looming.example", "192.0.2.7", "localhost", "127.0.0.1"} {
		if _, err := first.Leaf.Verify(x509.VerifyOptions{Roots: a.pool, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again, err := s.Certificate(); err != nil || again != first {
		t.Errorf("replaced while fresh: %v", err)
	}
	a.now = func() time.Time { return time.Now().Add(serverLife * 3 / 4) }
	later, err := s.Certificate()
	if err != nil || later == first || !later.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Errorf("not replaced in time: %v", err)
	}
}

// handshake connects with a client's configuration; it returns what the server and the client say.
func handshake(t *testing.T, s *Server, client *tls.Config) (name string, serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		done <- tls.Server(c, s.TLS(func(_ net.Conn, claimed string) { name = claimed })).HandshakeContext(t.Context())
	}()
	c, clientErr := tls.Dial("tcp", l.Addr().String(), client)
	if clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
		c.Close()
	}
	return name, <-done, clientErr
}

// Only TLS 1.3; a certificate without its key fails the handshake, and the server knows whose it was.
func TestHandshake(t *testing.T) {
	a := authority(t)
	s, err := a.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	good := device(t, a, "desk-1")
	client := &tls.Config{RootCAs: a.pool, ServerName: "localhost", Certificates: []tls.Certificate{good}}
	if name, err, _ := handshake(t, s, client); err != nil || name != "desk-1" {
		t.Errorf("claimed %q: %v", name, err)
	}
	stolen := client.Clone()
	stolen.Certificates = []tls.Certificate{{Certificate: good.Certificate, PrivateKey: ecKey(t)}}
	if name, err, _ := handshake(t, s, stolen); err == nil || name != "desk-1" {
		t.Errorf("with another key, claimed %q: %v", name, err)
	}
	old := client.Clone()
	old.MaxVersion = tls.VersionTLS12
	if _, err, _ := handshake(t, s, old); err == nil {
		t.Error("TLS 1.2 was let in")
	}
	blind := client.Clone()
	blind.RootCAs = authority(t).pool
	if _, _, err := handshake(t, s, blind); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a client of another authority: %v", err)
	}
}

// What was made is what is loaded; anything else is refused.
func TestLoad(t *testing.T) {
	one, err := Make(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	two, err := Make(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cut := strings.Index(string(one), "-----BEGIN "+pemKey)
	cut2 := strings.Index(string(two), "-----BEGIN "+pemKey)
	for name, made := range map[string][]byte{
		"empty": nil, "no key": one[:cut], "no certificate": one[cut:],
		"another's key": append(one[:cut:cut], two[cut2:]...),
	} {
		if _, err := Load(made); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
	if _, err := Load(one); err != nil {
		t.Error(err)
	}
}
