// Package ca is Looming's own certificate authority.
//
// Its key is shared by all servers. It signs two kinds of certificates: short-lived ones for the servers themselves,
// whose keys never leave their process, and ones for devices, whose keys never leave the device. A device's
// certificate proves who it is and nothing more: whether it may come in is looked up at every request.
package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// How long certificates live. A device renews when a third of its certificate's life is left.
const (
	authorityLife = 30 * 365 * 24 * time.Hour
	serverLife    = 30 * 24 * time.Hour
	deviceLife    = 90 * 24 * time.Hour
	// skew is how wrong the clock of the other end may be.
	skew = time.Hour
)

// The kinds of PEM blocks.
const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
	pemRequest     = "CERTIFICATE REQUEST"
)

// Authority signs.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte // of the certificate
	pool *x509.CertPool
	now  func() time.Time
}

// Make makes a new authority: its certificate and its key in PEM, for Load.
func Make(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(public)
	t := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: fmt.Sprintf("Looming CA %x", id[:4])},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SubjectKeyId:          id[:20],
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(encode(pemCertificate, der), encode(pemKey, secret)...), nil
}

// Load reads what Make made.
func Load(made []byte) (*Authority, error) {
	first, rest := pem.Decode(made)
	if first == nil || first.Type != pemCertificate {
		return nil, fmt.Errorf("the CA has no certificate")
	}
	second, _ := pem.Decode(rest)
	if second == nil || second.Type != pemKey {
		return nil, fmt.Errorf("the CA has no key")
	}
	cert, err := x509.ParseCertificate(first.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the CA's certificate: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(second.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the CA's key: %w", err)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok || !signer.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("the CA's key is not its certificate's")
	}
	a := &Authority{cert: cert, key: signer, pem: encode(pemCertificate, cert.Raw), pool: x509.NewCertPool(), now: time.Now}
	a.pool.AddCert(cert)
	return a, nil
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte { return bytes.Clone(a.pem) }

// Fingerprint is the SHA-256 of the authority's certificate, for people and tokens to compare.
func (a *Authority) Fingerprint() [32]byte { return sha256.Sum256(a.cert.Raw) }

// VerifyDevice says whether the authority issued a certificate to a device, and it is valid now.
func (a *Authority) VerifyDevice(cert *x509.Certificate) error {
	_, err := cert.Verify(x509.VerifyOptions{Roots: a.pool, CurrentTime: a.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return fmt.Errorf("%w: the certificate of %q is not good: %s", wire.ErrDenied, Name(cert), Clean(err.Error(), reasonMax))
	}
	return nil
}

// sign issues a certificate for a key.
func (a *Authority) sign(t *x509.Certificate, pub crypto.PublicKey, life time.Duration) (*x509.Certificate, error) {
	now := a.now()
	t.SerialNumber = newSerial()
	t.NotBefore, t.NotAfter = now.Add(-skew), now.Add(life)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, pub, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %q: %w", t.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

// newSerial is a number of 127 random bits.
func newSerial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
