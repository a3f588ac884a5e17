package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// How many strangers may wait, as what they sent is kept: in all, and from one network, so that nobody takes all places.
const (
	maxPending        = 1000
	maxPendingNetwork = 50
)

// Enrolment is a device that asks in.
type Enrolment struct {
	Name, Host, OS, Address string
	Fingerprint             Fingerprint
	Token                   string // empty: none
}

// Enrol adds a device, or finds where it stands if it asked before with the same key. A valid token approves it.
// Errors: conflict if the name or the key is another's, denied if it was revoked or the token is not good.
func (db *DB) Enrol(ctx context.Context, e Enrolment) (d Device, err error) {
	err = db.tx(ctx, fmt.Sprintf("enrol device %q", e.Name), func(tx *sql.Tx) error {
		d, err = e.known(ctx, tx)
		if errors.Is(err, sql.ErrNoRows) {
			d, err = e.insert(ctx, tx)
		}
		if err != nil || d.State == Approved || e.Token == "" {
			return err
		}
		d, err = e.approve(ctx, tx, d.ID)
		return err
	})
	return d, err
}

// known finds the device by its key.
func (e *Enrolment) known(ctx context.Context, tx *sql.Tx) (Device, error) {
	d, err := scanDevice(tx.QueryRowContext(ctx, `update devices d set host = $2, os = $3, address = $4, last_seen = now()
		where fingerprint = $1 returning `+deviceColumns, e.Fingerprint[:], e.Host, e.OS, e.Address))
	switch {
	case err != nil:
		return d, err
	case d.Name != e.Name:
		return d, fmt.Errorf("%w: this device is enrolled as %q already", wire.ErrConflict, d.Name)
	case d.State == Revoked:
		return d, fmt.Errorf("%w: the device was revoked: an admin must remove it before it may ask again", wire.ErrDenied)
	}
	return d, nil
}

func (e *Enrolment) insert(ctx context.Context, tx *sql.Tx) (Device, error) {
	if e.Token == "" {
		if err := e.room(ctx, tx); err != nil {
			return Device{}, err
		}
	} else if err := e.checkToken(ctx, tx); err != nil { // before a stranger hears whose name is taken
		return Device{}, err
	}
	d, err := scanDevice(tx.QueryRowContext(ctx, `insert into devices as d (name, host, os, fingerprint, address, last_seen)
		values ($1, $2, $3, $4, $5, now()) returning `+deviceColumns, e.Name, e.Host, e.OS, e.Fingerprint[:], e.Address))
	if isUnique(err) {
		return d, fmt.Errorf("%w: another device has this name: take another, or have an admin remove that device", wire.ErrConflict)
	}
	if err != nil {
		return d, err
	}
	return d, notifyDevice(ctx, tx, d.ID)
}

// room says whether one more may wait.
func (e *Enrolment) room(ctx context.Context, tx *sql.Tx) error {
	rs, err := tx.QueryContext(ctx, `select address from devices where state = 'pending'`)
	if err != nil {
		return err
	}
	defer rs.Close()
	all, near := 0, 0
	for rs.Next() {
		var address string
		if err := rs.Scan(&address); err != nil {
			return err
		}
		all++
		if Network(address) == Network(e.Address) {
			near++
		}
	}
	switch {
	case rs.Err() != nil:
		return rs.Err()
	case near >= maxPendingNetwork:
		return fmt.Errorf("%w: %d devices of this network wait for approval: an admin must approve or remove some, or give out a token", wire.ErrUnavailable, near)
	case all >= maxPending:
		return fmt.Errorf("%w: %d devices wait for approval: an admin must approve or remove some, or give out a token", wire.ErrUnavailable, all)
	}
	return nil
}

// Network is what one party has: an IPv4 address, or a /64 of IPv6.
func Network(host string) string {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return prefix.String()
}

// PrunePending forgets devices that wait for approval and did not ask for so long. One that still wants in asks every
// few seconds.
func (db *DB) PrunePending(ctx context.Context, age time.Duration) error {
	_, err := db.exec(ctx, "forget devices that gave up waiting", `with gone as (
			delete from devices where state = 'pending' and coalesce(last_seen, created) < now() - make_interval(secs => $1) returning id
		) select pg_notify($2, id::text) from gone`, age.Seconds(), DeviceChanged)
	return err
}

var errToken = fmt.Errorf("%w: the token is wrong, used up or expired: ask an admin for another, or enrol without", wire.ErrDenied)

const goodToken = `hash = $1 and uses > 0 and expires > now()`

func (e *Enrolment) checkToken(ctx context.Context, tx *sql.Tx) error {
	sum := sha256.Sum256([]byte(e.Token))
	var good bool
	err := tx.QueryRowContext(ctx, `select exists (select from enrol_tokens where `+goodToken+`)`, sum[:]).Scan(&good)
	if err == nil && !good {
		return errToken
	}
	return err
}

// approve uses up the token once.
func (e *Enrolment) approve(ctx context.Context, tx *sql.Tx, id int64) (Device, error) {
	sum := sha256.Sum256([]byte(e.Token))
	var token int64
	err := tx.QueryRowContext(ctx, `update enrol_tokens set uses = uses - 1 where `+goodToken+` returning id`, sum[:]).Scan(&token)
	if errors.Is(err, sql.ErrNoRows) {
		return Device{}, errToken
	}
	if err != nil {
		return Device{}, err
	}
	d, err := scanDevice(tx.QueryRowContext(ctx, `update devices d set state = 'approved', approved_at = now(), approved_by = $2
		where id = $1 returning `+deviceColumns, id, "token:"+strconv.FormatInt(token, 10)))
	if err != nil {
		return d, err
	}
	return d, notifyDevice(ctx, tx, id)
}
