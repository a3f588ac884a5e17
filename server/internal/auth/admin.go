package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// sessionLife is how long a login of a browser lasts.
const sessionLife = 12 * time.Hour

// Admins says who is an admin.
type Admins struct {
	db   *postgres.DB
	hash hashers
}

// NewAdmins asks db.
func NewAdmins(db *postgres.DB) *Admins { return &Admins{db, newHashers()} }

// Login exchanges name and password for a session's secret; denied if they are wrong.
func (a *Admins) Login(ctx context.Context, name, password string) (secret string, expires time.Time, err error) {
	stored, err := a.db.AdminHash(ctx, name)
	known := err == nil
	if errors.Is(err, wire.ErrNotFound) {
		stored, err = nobody, nil
	}
	if err != nil {
		return "", expires, err
	}
	var good bool
	if wait := a.hash.with(ctx, func() { good, err = matches(stored, password) }); wait != nil {
		return "", expires, wait
	}
	if err != nil {
		return "", expires, fmt.Errorf("admin %q: %w", name, err)
	}
	if !good || !known {
		return "", expires, fmt.Errorf("%w: wrong user name or password", wire.ErrDenied)
	}
	secret = NewSecret()
	expires, err = a.db.AddSession(ctx, secret, name, postgres.LoginSession, sessionLife)
	return secret, expires, err
}

// Check finds whose a session or token is; denied if it is nobody's.
func (a *Admins) Check(ctx context.Context, secret string) (name string, err error) {
	return a.db.SessionAdmin(ctx, secret)
}

// Logout ends a session.
func (a *Admins) Logout(ctx context.Context, secret string) error {
	return a.db.RemoveSession(ctx, secret)
}

// Add adds an admin.
func (a *Admins) Add(ctx context.Context, name, password string) error {
	h, err := a.hashOf(ctx, password)
	if err != nil {
		return err
	}
	return a.db.AddAdmin(ctx, name, h)
}

// First adds the first admin; false if there is one already.
func (a *Admins) First(ctx context.Context, name, password string) (bool, error) {
	h, err := a.hashOf(ctx, password)
	if err != nil {
		return false, err
	}
	return a.db.FirstAdmin(ctx, name, h)
}

// SetPassword changes a password and ends the logins under the old one.
func (a *Admins) SetPassword(ctx context.Context, name, password string) error {
	h, err := a.hashOf(ctx, password)
	if err != nil {
		return err
	}
	return a.db.SetAdminHash(ctx, name, h)
}

// NewToken makes a token for programs, which lives until it is removed.
func (a *Admins) NewToken(ctx context.Context, name string) (string, error) {
	secret := NewSecret()
	_, err := a.db.AddSession(ctx, secret, name, postgres.APIToken, 0)
	return secret, err
}

func (a *Admins) hashOf(ctx context.Context, password string) (h string, err error) {
	if wait := a.hash.with(ctx, func() { h, err = hash(password) }); wait != nil {
		return "", wait
	}
	return h, err
}

// NewSecret is 130 random bits in letters and digits, for sessions, tokens and first passwords.
func NewSecret() string { return rand.Text() }
