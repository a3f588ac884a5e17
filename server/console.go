package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/looming-project/looming/console"
	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// face is the server as the console sees it: Fleet, Pages, Admin and Auth.
type face struct{ *Server }

// Watch implements console.Fleet.
func (f face) Watch(ctx context.Context, wake func()) error {
	return f.db.Listen(ctx, func(postgres.Heard) { wake() }, postgres.DeviceChanged, postgres.ProgressChanged, postgres.DesktopChanged)
}

// Login implements console.Auth.
func (f face) Login(ctx context.Context, user, password string) (string, time.Time, error) {
	secret, expires, err := f.admins.Login(ctx, user, password)
	if errors.Is(err, wire.ErrDenied) || errors.Is(err, wire.ErrInvalid) { // a name that no admin can have
		f.refuseFrom(ctx, "login", user, "", "log in to the console", err)
		return "", expires, console.ErrLogin
	}
	if err == nil {
		f.audit(ctx, postgres.Audit{Who: "admin:" + user, What: "log in to the console"})
	}
	return secret, expires, err
}

// Check implements console.Auth.
func (f face) Check(ctx context.Context, token string) (string, error) {
	user, err := f.admins.Check(ctx, token)
	if errors.Is(err, wire.ErrDenied) {
		return "", console.ErrSession
	}
	return user, err
}

// Logout implements console.Auth.
func (f face) Logout(ctx context.Context, token string) error { return f.admins.Logout(ctx, token) }

// Approve implements console.Admin.
func (f face) Approve(ctx context.Context, by, device string) error {
	_, err := f.approve(ctx, by, "", device, "")
	return forConsole(err)
}

// Revoke implements console.Admin.
func (f face) Revoke(ctx context.Context, by, device string) error {
	_, err := f.revoke(ctx, by, "", device)
	return forConsole(err)
}

// forConsole gives errors the meaning that the console knows.
func forConsole(err error) error {
	switch {
	case errors.Is(err, wire.ErrNotFound):
		return fmt.Errorf("%w: %w", console.ErrNotFound, err)
	case errors.Is(err, wire.ErrConflict):
		return fmt.Errorf("%w: %w", console.ErrConflict, err)
	}
	return err
}

func pageQuery(q console.Query) postgres.PageQuery {
	return postgres.PageQuery{Search: q.Search, State: postgres.DeviceState(q.State), Sort: q.Sort, Desc: q.Desc, Offset: q.Offset, Limit: q.Limit}
}

// Endpoints implements console.Pages.
func (f face) Endpoints(ctx context.Context, q console.Query) (console.Page[console.Endpoint], error) {
	list, total, err := f.db.DevicesPage(ctx, pageQuery(q))
	if err != nil {
		return console.Page[console.Endpoint]{}, err
	}
	doing, err := f.activities(ctx)
	if err != nil {
		return console.Page[console.Endpoint]{}, err
	}
	p := console.Page[console.Endpoint]{Total: total}
	for i := range list {
		p.Items = append(p.Items, endpoint(&list[i], doing))
	}
	return p, nil
}

// Desktops implements console.Pages.
func (f face) Desktops(ctx context.Context, q console.Query) (console.Page[console.Desktop], error) {
	list, total, err := f.db.DesktopsPage(ctx, pageQuery(q))
	p := console.Page[console.Desktop]{Total: total}
	for i := range list {
		p.Items = append(p.Items, desktop(&list[i]))
	}
	return p, err
}

// Snapshots implements console.Pages.
func (f face) Snapshots(ctx context.Context, name string, q console.Query) (console.Page[console.Snapshot], error) {
	p := console.Page[console.Snapshot]{}
	c, err := f.db.CVD(ctx, name)
	if err != nil {
		return p, forConsole(err)
	}
	list, total, err := f.db.SnapshotsPage(ctx, c.ID, pageQuery(q))
	p.Total = total
	for i := range list {
		s := &list[i]
		p.Items = append(p.Items, console.Snapshot{
			ID: s.ID.String(), CVD: s.CVD, Device: s.Device, At: s.Committed.UTC(),
			Files: int64(s.Files), LogicalBytes: int64(s.Bytes), NewBytes: s.NewBytes,
		})
	}
	return p, err
}
