package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of a [Query].
const (
	DefaultLimit = 25
	MaxLimit     = 200
	MaxSearch    = 200 // bytes
)

// Query asks for one page of a table.
type Query struct {
	Search string // matches anywhere in the names shown, in any case; empty: everything
	State  State  // endpoints only; empty: any
	Sort   string // a column of the list's sort columns; never empty
	Desc   bool
	Offset int // 0 or more
	Limit  int // 1 to MaxLimit
}

// Page is one page of a table, of Total rows in all.
type Page[T any] struct {
	Items  []T   `json:"items"`
	Total  int64 `json:"total"`
	Offset int   `json:"offset"`
	Limit  int   `json:"limit"`
}

// The columns that each table sorts by; the first is its default. An implementation of [Pages] must know them all and
// break ties by id, so that pages neither repeat nor miss a row.
var (
	EndpointColumns = []string{"name", "state", "os", "online", "last_seen"}
	DesktopColumns  = []string{"name", "owner", "snapshots", "last_snapshot", "logical_bytes", "stored_bytes", "unique_bytes", "saved_share"}
	SnapshotColumns = []string{"at", "device", "files", "logical_bytes", "new_bytes"}
)

// parseQuery reads a query from a URL. Values out of bounds are errors that name the bound, not silently moved.
func parseQuery(v url.Values, columns []string) (Query, error) {
	q := Query{Search: strings.TrimSpace(v.Get("q")), Sort: columns[0], Limit: DefaultLimit}
	if len(q.Search) > MaxSearch || !utf8.ValidString(q.Search) {
		return q, fmt.Errorf("search: at most %d bytes of UTF-8", MaxSearch)
	}
	if s := v.Get("sort"); s != "" {
		q.Sort, q.Desc = strings.CutPrefix(s, "-")
	}
	if !slices.Contains(columns, q.Sort) {
		return q, fmt.Errorf("sort by %q: the columns are %s", q.Sort, strings.Join(columns, ", "))
	}
	switch q.State = State(v.Get("state")); q.State {
	case "", Pending, Approved, Revoked:
	default:
		return q, fmt.Errorf("state %q: the states are pending, approved, revoked", q.State)
	}
	var err error
	if q.Offset, err = bounded(v, "offset", 0, 0, 1<<30); err != nil {
		return q, err
	}
	q.Limit, err = bounded(v, "limit", DefaultLimit, 1, MaxLimit)
	return q, err
}

func bounded(v url.Values, name string, none, low, high int) (int, error) {
	if v.Get(name) == "" {
		return none, nil
	}
	n, err := strconv.Atoi(v.Get(name))
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%s %q: a number from %d to %d", name, v.Get(name), low, high)
	}
	return n, nil
}
