// Package auth says who may do what: which device a certificate makes, and which admin a password, a session or a
// token.
//
// A device is looked up at every request, so that one that is revoked is out at its next. What was looked up is kept
// for a few seconds, and forgotten the moment that any server changes a device: the database notifies all. While that
// connection is broken nothing is kept.
//
// Devices.mu guards the cache and is held for no I/O.
package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/looming-project/looming/server/internal/ca"
	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// Bounds of the cache.
const (
	cacheLife = 5 * time.Second
	cacheMax  = 10_000
)

// Devices says which device a certificate makes.
type Devices struct {
	db *postgres.DB
	ca *ca.Authority

	mu      sync.Mutex // guards all below
	cache   map[string]cached
	hearing bool   // notifications arrive
	age     uint64 // counts what was forgotten: what was looked up before is not kept
}

type cached struct {
	device postgres.Device
	until  time.Time
}

// NewDevices asks db. Until Run runs nothing is cached.
func NewDevices(db *postgres.DB, authority *ca.Authority) *Devices {
	return &Devices{db: db, ca: authority, cache: map[string]cached{}}
}

// Run keeps the cache true until ctx ends.
func (d *Devices) Run(ctx context.Context) error {
	err := d.db.Listen(ctx, d.heard, postgres.DeviceChanged)
	d.forget(0, false)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (d *Devices) heard(h postgres.Heard) {
	id, err := strconv.ParseInt(h.Payload, 10, 64)
	if h.Lost || err != nil {
		id = 0
	}
	d.forget(id, h.Up)
}

// Forget drops what is known about a device, before the notification arrives that says so.
func (d *Devices) Forget(id int64) {
	d.mu.Lock()
	hearing := d.hearing
	d.mu.Unlock()
	d.forget(id, hearing)
}

// forget drops a device, or with 0 all.
func (d *Devices) forget(id int64, hearing bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.age++
	d.hearing = hearing
	if id == 0 {
		clear(d.cache)
		return
	}
	for key, c := range d.cache {
		if c.device.ID == id {
			delete(d.cache, key)
		}
	}
}

// Of is the device that showed a certificate, over a connection that proved its key. Errors are wire.ErrDenied, and
// say why; the device is set as far as it is known.
func (d *Devices) Of(ctx context.Context, cert *x509.Certificate) (postgres.Device, error) {
	claimed := postgres.Device{Name: ca.Name(cert)}
	if err := d.ca.VerifyDevice(cert); err != nil {
		return claimed, err
	}
	device, err := d.lookUp(ctx, cert.SerialNumber.Bytes())
	if errors.Is(err, wire.ErrNotFound) {
		return claimed, fmt.Errorf("%w: the device %q was removed, or has a newer key: enrol again", wire.ErrDenied, claimed.Name)
	}
	if err != nil {
		return claimed, err
	}
	switch device.State {
	case postgres.Approved:
		return device, nil
	case postgres.Pending:
		return device, fmt.Errorf("%w: device %q", wire.ErrPending, device.Name)
	}
	return device, fmt.Errorf("%w: the device %q was revoked", wire.ErrDenied, device.Name)
}

func (d *Devices) lookUp(ctx context.Context, serial []byte) (postgres.Device, error) {
	now := time.Now()
	d.mu.Lock()
	c, ok := d.cache[string(serial)]
	age := d.age
	d.mu.Unlock()
	if ok && now.Before(c.until) {
		return c.device, nil
	}
	device, err := d.db.DeviceOf(ctx, serial)
	if err != nil {
		return device, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hearing && d.age == age {
		if len(d.cache) >= cacheMax {
			clear(d.cache)
		}
		d.cache[string(serial)] = cached{device, now.Add(cacheLife)}
	}
	return device, nil
}
