package ca

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// Request is a device's wish for a certificate: its public key, and the proof that it has the private one.
type Request struct{ csr *x509.CertificateRequest }

// ParseRequest reads a PKCS#10 request in PEM and checks its signature and the strength of its key. What it says about
// names does not count.
func ParseRequest(text string) (Request, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != pemRequest {
		return Request{}, fmt.Errorf("%w: the certificate request is not PEM", wire.ErrInvalid)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return Request{}, fmt.Errorf("%w: certificate request: %w", wire.ErrInvalid, err)
	}
	if err := csr.CheckSignature(); err != nil {
		return Request{}, fmt.Errorf("%w: certificate request: %w", wire.ErrInvalid, err)
	}
	if !strong(csr.PublicKey) {
		return Request{}, fmt.Errorf("%w: certificate request: the key must be ECDSA, Ed25519, or RSA of 2048 to 8192 bits", wire.ErrInvalid)
	}
	return Request{csr}, nil
}

func strong(key any) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize >= 256
	case ed25519.PublicKey:
		return true
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192
	}
	return false
}

// Fingerprint is the SHA-256 of the public key.
func (r Request) Fingerprint() [32]byte { return sha256.Sum256(r.csr.RawSubjectPublicKeyInfo) }

// Issued is a certificate that a device got.
type Issued struct {
	PEM      []byte
	Serial   []byte
	NotAfter time.Time
}

// Issue signs a request for a device of that name.
func (a *Authority) Issue(r Request, name string) (Issued, error) {
	cert, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name, OrganizationalUnit: []string{"device"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, r.csr.PublicKey, deviceLife)
	if err != nil {
		return Issued{}, err
	}
	return Issued{encode(pemCertificate, cert.Raw), cert.SerialNumber.Bytes(), cert.NotAfter}, nil
}

// Fresh says whether a device's certificate that ends then is good for a while, so that it need not have another.
func (a *Authority) Fresh(notAfter time.Time) bool { return notAfter.Sub(a.now()) > deviceLife/3 }
