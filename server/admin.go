package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// adminHandler answers a request of an admin.
type adminHandler func(w http.ResponseWriter, r *http.Request, admin string) error

func (s *Server) adminRoutes(mux *http.ServeMux) {
	for pattern, h := range map[string]adminHandler{
		"GET /v1/admin/devices":                       s.adminDevices,
		"GET /v1/admin/devices/{name}":                s.adminDevice,
		"POST /v1/admin/devices/{name}/approve":       s.adminApprove,
		"POST /v1/admin/devices/{name}/revoke":        s.adminRevoke,
		"DELETE /v1/admin/devices/{name}":             s.adminRemove,
		"GET /v1/admin/tokens":                        s.adminTokens,
		"POST /v1/admin/tokens":                       s.adminNewToken,
		"DELETE /v1/admin/tokens/{id}":                s.adminRemoveToken,
		"GET /v1/admin/cvds":                          s.adminCVDs,
		"GET /v1/admin/cvds/{cvd}":                    s.adminCVD,
		"GET /v1/admin/cvds/{cvd}/snapshots":          s.adminSnapshots,
		"POST /v1/admin/cvds/{cvd}/assign":            s.adminAssign,
		"DELETE /v1/admin/cvds/{cvd}/assign/{device}": s.adminUnassign,
		"POST /v1/admin/cvds/{cvd}/owner":             s.adminOwn,
		"GET /v1/admin/limits":                        s.adminLimits,
		"POST /v1/admin/limits":                       s.adminSetLimit,
		"DELETE /v1/admin/limits/{id}":                s.adminRemoveLimit,
		"GET /v1/admin/streams":                       s.adminStreams,
		"GET /v1/admin/volumes":                       s.adminVolumes,
		"POST /v1/admin/volumes":                      s.adminAddVolume,
		"POST /v1/admin/volumes/{id}/drain":           s.adminDrainVolume,
		"DELETE /v1/admin/volumes/{id}":               s.adminRemoveVolume,
		"POST /v1/admin/verify":                       s.adminVerify,
		"GET /v1/admin/stats":                         s.adminStats,
		"GET /v1/admin/audit":                         s.adminAudit,
		"GET /v1/admin/users":                         s.adminUsers,
		"POST /v1/admin/users":                        s.adminAddUser,
		"PUT /v1/admin/users/{name}/password":         s.adminPassword,
		"DELETE /v1/admin/users/{name}":               s.adminRemoveUser,
		"DELETE /v1/admin/users/{name}/tokens":        s.adminEndTokens,
	} {
		mux.Handle(pattern, s.admin(h))
	}
}

// admin lets an admin in, and nobody else.
func (s *Server) admin(h adminHandler) http.Handler {
	return s.plain(func(w http.ResponseWriter, r *http.Request) error {
		name, err := s.bearer(r)
		if err != nil {
			s.refuse(r, "admin", name, err)
			return err
		}
		if a, ok := w.(*answer); ok {
			a.who = "admin:" + name
		}
		return h(w, r, name)
	})
}

// bearer is the admin whose token a request shows.
func (s *Server) bearer(r *http.Request) (string, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return "", fmt.Errorf("%w: this is for admins: send Authorization: Bearer TOKEN", wire.ErrDenied)
	}
	return s.admins.Check(r.Context(), token)
}

// did writes down what an admin changed.
func (s *Server) did(r *http.Request, admin, what, subject string) {
	s.log.Info("admin: "+what, "subject", subject, "by", admin, "from", clientHost(r))
	s.audit(r.Context(), postgres.Audit{Who: "admin:" + admin, Address: clientHost(r), What: what, Subject: subject})
}

// Page is one page of a table, of Total rows in all.
type Page[T any] struct {
	Items  []T   `json:"items"`
	Total  int64 `json:"total"`
	Offset int   `json:"offset"`
	Limit  int   `json:"limit"`
}

// respondPage answers with one page of a table, each row as a document.
func respondPage[R, T any](w http.ResponseWriter, q postgres.PageQuery, list []R, total int64, err error, document func(*R) T) error {
	if err != nil {
		return err
	}
	p := Page[T]{Items: []T{}, Total: total, Offset: q.Offset, Limit: q.Limit}
	for i := range list {
		p.Items = append(p.Items, document(&list[i]))
	}
	return respond(w, p)
}

// The bounds of a page. What asks without a limit is a program that wants all, page by page.
const (
	pageDefault = 1000
	pageMax     = 1000
)

// pageOf reads ?q=&sort=&desc=&offset=&limit=&state=.
func pageOf(v url.Values, sort string) (postgres.PageQuery, error) {
	q := postgres.PageQuery{Search: strings.TrimSpace(v.Get("q")), Sort: sort, Limit: pageDefault, State: postgres.DeviceState(v.Get("state"))}
	if s := v.Get("sort"); s != "" {
		q.Sort, q.Desc = strings.CutPrefix(s, "-")
	}
	if d := v.Get("desc"); d != "" {
		desc, err := strconv.ParseBool(d)
		if err != nil {
			return q, fmt.Errorf("%w: desc=%q: want true or false", wire.ErrInvalid, d)
		}
		q.Desc = desc
	}
	if clean(q.Search, 200) != q.Search {
		return q, fmt.Errorf("%w: search for at most 200 bytes of UTF-8", wire.ErrInvalid)
	}
	var err1, err2 error
	q.Offset, err1 = bounded(v, "offset", 0, 0, 1<<30)
	q.Limit, err2 = bounded(v, "limit", pageDefault, 1, pageMax)
	return q, errors.Join(err1, err2)
}

func bounded(v url.Values, name string, none, low, high int) (int, error) {
	if v.Get(name) == "" {
		return none, nil
	}
	n, err := strconv.Atoi(v.Get(name))
	if err != nil || n < low || n > high {
		return none, fmt.Errorf("%w: %s=%q: want a number from %d to %d", wire.ErrInvalid, name, v.Get(name), low, high)
	}
	return n, nil
}
