package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
)

// The state directory is for its owner alone (0700).
//
//	device.json  which server, and under which name; written last
//	key.pem      the device's key, made here, which never leaves
//	cert.pem     its certificate, once it is approved
//	ca.pem       the CA of the server
//	cache/       stat caches of snapshots
const (
	deviceFile = "device.json"
	keyFile    = "key.pem"
	certFile   = "cert.pem"
	caFile     = "ca.pem"
	cacheDir   = "cache"
)

// device is this machine as the server knows it.
type device struct {
	URL  string `json:"url"`
	Name string `json:"name"`

	dir string
	key *ecdsa.PrivateKey
	// cert is zero until the device is approved.
	cert tls.Certificate
	ca   []byte
}

// errNotEnrolled says what to do first.
var errNotEnrolled = fmt.Errorf("%w: this device is not enrolled: run `looming enroll URL` first", wire.ErrDenied)

// openDevice reads the state of a device that is enrolled and approved.
func openDevice(dir string) (*device, error) {
	d, err := readDevice(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (no %s)", errNotEnrolled, filepath.Join(dir, deviceFile))
	}
	if err != nil {
		return nil, err
	}
	if d.cert.Leaf == nil {
		return nil, fmt.Errorf("%w: %s waits for its approval at %s: run `looming enroll %s` again", wire.ErrPending, d.Name, d.URL, d.URL)
	}
	return d, nil
}

// readDevice reads the state of a device that has asked in; an error that wraps fs.ErrNotExist says that it has not.
func readDevice(dir string) (*device, error) {
	b, err := os.ReadFile(filepath.Join(dir, deviceFile))
	if err != nil {
		return nil, err
	}
	d := &device{dir: dir}
	if err := json.Unmarshal(b, d); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", filepath.Join(dir, deviceFile), err)
	}
	if d.key, err = readKey(dir); err != nil {
		return nil, damaged(dir, err)
	}
	if d.ca, err = os.ReadFile(filepath.Join(dir, caFile)); err != nil {
		return nil, damaged(dir, err)
	}
	chain, err := os.ReadFile(filepath.Join(dir, certFile))
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		d.cert, err = remote.Pair(chain, d.key)
	}
	return d, damaged(dir, err)
}

// damaged does not let a missing file look like a device that was never enrolled.
func damaged(dir string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the device's state is incomplete or damaged (%v): remove %s and enroll again", err, filepath.Join(dir, deviceFile))
}

func readKey(dir string) (*ecdsa.PrivateKey, error) {
	b, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	return remote.DecodeKey(b)
}

// save writes everything but the certificate, of which an older one goes; the device is there when device.json is.
func (d *device) save() error {
	key, err := remote.EncodeKey(d.key)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.RemoveAll(d.file(certFile)); err != nil {
		return fmt.Errorf("keep the device's state: %w", err)
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{keyFile, key}, {caFile, d.ca}, {deviceFile, append(b, '\n')}} {
		if err := durable.WriteFile(d.file(f.name), f.data, 0o600); err != nil {
			return fmt.Errorf("keep the device's state: %w", err)
		}
	}
	return nil
}

// forget removes what save has written. Without device.json there is no device, so that goes first.
func (d *device) forget() error {
	for _, name := range []string{deviceFile, keyFile, caFile} {
		if err := durable.Remove(d.file(name)); err != nil {
			return fmt.Errorf("forget a request that was refused: %w", err)
		}
	}
	return nil
}

func (d *device) file(name string) string { return filepath.Join(d.dir, name) }

// keep writes a new certificate.
func (d *device) keep(chain []byte) error {
	cert, err := remote.Pair(chain, d.key)
	if err == nil {
		err = durable.WriteFile(d.file(certFile), chain, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep the device's certificate: %w", err)
	}
	d.cert = cert
	return nil
}

// client talks to the device's server.
func (d *device) client(l remote.Limits, notice func(error, time.Duration)) (*remote.Client, error) {
	return remote.New(remote.Options{URL: d.URL, CA: d.ca, Cert: d.cert, Limits: l, Notice: notice})
}

// renew renews the certificate if it is time. While the old one is good, failing is no harm.
func (d *device) renew(ctx context.Context, c *remote.Client) error {
	if !remote.NeedsRenewal(d.cert.Leaf, time.Now()) {
		return nil
	}
	chain, err := c.Renew(ctx, d.key, d.Name)
	if err != nil {
		return err
	}
	return d.keep(chain)
}

// cache is where stat caches are.
func (d *device) cache() string { return filepath.Join(d.dir, cacheDir) }
