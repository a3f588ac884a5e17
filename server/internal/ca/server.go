package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// Server is a server's own certificate, renewed while it serves.
type Server struct {
	authority *Authority
	names     []string

	mu   sync.Mutex // guards cert
	cert *tls.Certificate
}

// NewServer makes a certificate for these names and addresses, and for localhost and this machine's own.
func (a *Authority) NewServer(names []string) (*Server, error) {
	s := &Server{authority: a, names: allNames(names)}
	_, err := s.Certificate()
	return s, err
}

// Certificate is the one to serve with. The last third of its life it is replaced.
func (s *Server) Certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cert != nil && s.cert.Leaf.NotAfter.Sub(s.authority.now()) > serverLife/3 {
		return s.cert, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Looming server", OrganizationalUnit: []string{"server"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range s.names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	leaf, err := s.authority.sign(t, key.Public(), serverLife)
	if err != nil {
		return nil, err
	}
	s.cert = &tls.Certificate{Certificate: [][]byte{leaf.Raw, s.authority.cert.Raw}, PrivateKey: key, Leaf: leaf}
	return s.cert, nil
}

// Names are the hosts that the certificate is good for.
func (s *Server) Names() []string { return slices.Clone(s.names) }

// allNames adds localhost, the host's name and its addresses.
func allNames(given []string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	if addresses, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
				names = append(names, n.IP.String())
			}
		}
	}
	names = append(names, given...)
	slices.Sort(names)
	return slices.Compact(names)
}

// TLS is how a server talks: TLS 1.3, HTTP/1.1, and client certificates that are asked for but judged per request, so
// that a refusal says why and is logged with the device's name. claimed, if not nil, hears of a client's certificate
// before the client has proven that it has the key.
func (s *Server) TLS(claimed func(c net.Conn, name string)) *tls.Config {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"http/1.1"},
		ClientAuth:     tls.RequestClientCert,
		ClientCAs:      s.authority.pool, // browsers do not ask their user for a certificate of another's
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.Certificate() },
		Time:           func() time.Time { return s.authority.now() },
	}
	if claimed == nil {
		return config
	}
	watched := config.Clone()
	watched.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c := config.Clone()
		c.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) > 0 {
				claimed(hello.Conn, nameIn(raw[0]))
			}
			return nil
		}
		return c, nil
	}
	return watched
}

func nameIn(der []byte) string {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return Clean(fmt.Sprintf("a certificate that does not parse (%v)", err), nameMax)
	}
	return Name(cert)
}
