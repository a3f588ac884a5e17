package console

import (
	"context"
	"errors"
	"time"
)

// Fleet is where the live model comes from.
type Fleet interface {
	// Fleet returns the whole live model now. The hub calls it at most four times a second, from one goroutine.
	Fleet(ctx context.Context) (Model, error)

	// Watch calls wake whenever something changed, until ctx ends. Wakes may be spurious and need not be exact:
	// the hub refreshes every few seconds anyway. When it returns an error, the hub calls it again after a pause.
	Watch(ctx context.Context, wake func()) error
}

// Pages answers the tables. Queries come with a column, limit and offset that are already within bounds.
type Pages interface {
	Endpoints(ctx context.Context, q Query) (Page[Endpoint], error)
	Desktops(ctx context.Context, q Query) (Page[Desktop], error)
	Snapshots(ctx context.Context, cvd string, q Query) (Page[Snapshot], error)
}

// Admin changes what an admin may change. By is the user who does it, for the log.
type Admin interface {
	Approve(ctx context.Context, by, device string) error
	Revoke(ctx context.Context, by, device string) error
}

// Auth says who may look. Login and Check answer [ErrLogin] and [ErrSession] where they refuse; any other error means
// that they could not find out.
type Auth interface {
	Login(ctx context.Context, user, password string) (token string, expires time.Time, err error)
	Check(ctx context.Context, token string) (user string, err error)
	Logout(ctx context.Context, token string) error
}

// What the implementations answer where the reason matters to the page.
var (
	ErrLogin    = errors.New("wrong user name or password")
	ErrSession  = errors.New("the session has ended")
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("not possible in its present state")
)
