// Package consoletest is a fleet in memory: everything that a console needs of a server, for tests of the console, of
// the page in a browser, and for pictures of it.
package consoletest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/looming-project/looming/console"
)

// The one user that a Fake knows.
const (
	User     = "admin"
	Password = "a horizon that lifts"
)

// Fake implements console.Fleet, Pages, Admin and Auth over a model that the test changes.
type Fake struct {
	mu        sync.Mutex // guards everything below
	model     console.Model
	snapshots map[string][]console.Snapshot // by CVD
	sessions  map[string]string             // token to user
	watchers  map[int]func()
	next      int
	broken    error
	log       []string
}

// New makes a fleet with this model.
func New(m console.Model) *Fake {
	return &Fake{
		model: m, snapshots: map[string][]console.Snapshot{},
		sessions: map[string]string{}, watchers: map[int]func(){},
	}
}

// Options are what a console over this fleet is made from.
func (f *Fake) Options() console.Options {
	return console.Options{Fleet: f, Pages: f, Admin: f, Auth: f, Version: "0.1.0"}
}

// Update changes the model and wakes the console.
func (f *Fake) Update(change func(m *console.Model)) {
	f.mu.Lock()
	change(&f.model)
	wake := slices.Collect(maps.Values(f.watchers))
	f.mu.Unlock()
	for _, w := range wake {
		w()
	}
}

// Keep adds snapshots of a desktop.
func (f *Fake) Keep(cvd string, s ...console.Snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshots[cvd] = append(f.snapshots[cvd], s...)
}

// Break has everything fail with err, as when the database is away; nil mends it.
func (f *Fake) Break(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
}

// EndSessions signs everybody out.
func (f *Fake) EndSessions() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.sessions)
}

// Sessions counts who is signed in.
func (f *Fake) Sessions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sessions)
}

// Log is what admins did, as "user verb device".
func (f *Fake) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// Fleet implements console.Fleet.
func (f *Fake) Fleet(context.Context) (console.Model, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.model
	m.Endpoints = slices.Clone(m.Endpoints)
	m.Streams = slices.Clone(m.Streams)
	m.Uploads = slices.Clone(m.Uploads)
	m.Desktops = slices.Clone(m.Desktops)
	m.Volumes = slices.Clone(m.Volumes)
	return m, f.broken
}

// Watch implements console.Fleet.
func (f *Fake) Watch(ctx context.Context, wake func()) error {
	f.mu.Lock()
	id := f.next
	f.next++
	f.watchers[id] = wake
	f.mu.Unlock()
	<-ctx.Done()
	f.mu.Lock()
	delete(f.watchers, id)
	f.mu.Unlock()
	return nil
}

// Approve implements console.Admin.
func (f *Fake) Approve(_ context.Context, by, device string) error {
	return f.decide(by, "approve", device, console.Pending, console.Approved)
}

// Revoke implements console.Admin.
func (f *Fake) Revoke(_ context.Context, by, device string) error {
	return f.decide(by, "revoke", device, "", console.Revoked)
}

func (f *Fake) decide(by, verb, device string, from, to console.State) error {
	f.mu.Lock()
	if f.broken != nil {
		defer f.mu.Unlock()
		return f.broken
	}
	i := slices.IndexFunc(f.model.Endpoints, func(e console.Endpoint) bool { return e.ID == device })
	if i < 0 {
		defer f.mu.Unlock()
		return console.ErrNotFound
	}
	if e := f.model.Endpoints[i]; e.State == to || from != "" && e.State != from {
		defer f.mu.Unlock()
		return fmt.Errorf("device %s is %s: %w", device, e.State, console.ErrConflict)
	}
	f.log = append(f.log, by+" "+verb+" "+device)
	f.mu.Unlock()
	f.Update(func(m *console.Model) {
		if m.Endpoints[i].State == console.Pending {
			m.Totals.Pending--
		}
		m.Endpoints[i].State = to
		m.Endpoints[i].Online = to == console.Approved
	})
	return nil
}

// Login implements console.Auth.
func (f *Fake) Login(_ context.Context, user, password string) (string, time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return "", time.Time{}, f.broken
	}
	if user != User || password != Password {
		return "", time.Time{}, console.ErrLogin
	}
	f.next++
	token := fmt.Sprintf("token-%d", f.next)
	f.sessions[token] = user
	return token, time.Now().Add(time.Hour), nil
}

// Check implements console.Auth.
func (f *Fake) Check(_ context.Context, token string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if user, ok := f.sessions[token]; ok {
		return user, nil
	}
	return "", console.ErrSession
}

// Logout implements console.Auth.
func (f *Fake) Logout(_ context.Context, token string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sessions, token)
	return nil
}

// Endpoints implements console.Pages.
func (f *Fake) Endpoints(_ context.Context, q console.Query) (console.Page[console.Endpoint], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rows := slices.Clone(f.model.Endpoints)
	rows = slices.DeleteFunc(rows, func(e console.Endpoint) bool {
		return q.State != "" && e.State != q.State || !matches(q.Search, e.Name, e.Hostname, e.Address, e.OS, e.ID)
	})
	return page(rows, q, f.broken, func(a, b console.Endpoint) int {
		switch q.Sort {
		case "state":
			return cmp.Compare(a.State, b.State)
		case "os":
			return cmp.Compare(a.OS, b.OS)
		case "online":
			return cmp.Compare(fmt.Sprint(a.Online), fmt.Sprint(b.Online))
		case "last_seen":
			return a.LastSeen.Compare(b.LastSeen)
		}
		return cmp.Compare(a.Name, b.Name)
	}, func(e console.Endpoint) string { return e.ID })
}

// Desktops implements console.Pages.
func (f *Fake) Desktops(_ context.Context, q console.Query) (console.Page[console.Desktop], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rows := slices.DeleteFunc(slices.Clone(f.model.Desktops), func(d console.Desktop) bool { return !matches(q.Search, d.Name, d.Owner) })
	return page(rows, q, f.broken, func(a, b console.Desktop) int {
		switch q.Sort {
		case "owner":
			return cmp.Compare(a.Owner, b.Owner)
		case "snapshots":
			return cmp.Compare(a.Snapshots, b.Snapshots)
		case "last_snapshot":
			return a.LastSnapshot.Compare(b.LastSnapshot)
		case "logical_bytes":
			return cmp.Compare(a.LogicalBytes, b.LogicalBytes)
		case "stored_bytes":
			return cmp.Compare(a.StoredBytes, b.StoredBytes)
		case "unique_bytes":
			return cmp.Compare(a.UniqueBytes, b.UniqueBytes)
		case "saved_share":
			return cmp.Compare(a.SavedShare, b.SavedShare)
		}
		return cmp.Compare(a.Name, b.Name)
	}, func(d console.Desktop) string { return d.Name })
}

// Snapshots implements console.Pages.
func (f *Fake) Snapshots(_ context.Context, cvd string, q console.Query) (console.Page[console.Snapshot], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return page(slices.Clone(f.snapshots[cvd]), q, f.broken, func(a, b console.Snapshot) int {
		switch q.Sort {
		case "device":
			return cmp.Compare(a.Device, b.Device)
		case "files":
			return cmp.Compare(a.Files, b.Files)
		case "logical_bytes":
			return cmp.Compare(a.LogicalBytes, b.LogicalBytes)
		case "new_bytes":
			return cmp.Compare(a.NewBytes, b.NewBytes)
		}
		return a.At.Compare(b.At)
	}, func(s console.Snapshot) string { return s.ID })
}

func matches(search string, names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		return strings.Contains(strings.ToLower(n), strings.ToLower(search))
	})
}

func page[T any](rows []T, q console.Query, err error, compare func(a, b T) int, key func(T) string) (console.Page[T], error) {
	slices.SortFunc(rows, func(a, b T) int {
		c := compare(a, b)
		if q.Desc {
			c = -c
		}
		return cmp.Or(c, cmp.Compare(key(a), key(b)))
	})
	total := len(rows)
	rows = rows[min(q.Offset, total):min(q.Offset+q.Limit, total)]
	return console.Page[T]{Items: rows, Total: int64(total)}, err
}
