package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// The lists of a model, by their JSON names, in the order in which they are sent.
const (
	listEndpoints = "endpoints"
	listStreams   = "streams"
	listUploads   = "uploads"
	listDesktops  = "desktops"
	listVolumes   = "volumes"
)

var lists = []string{listEndpoints, listStreams, listUploads, listDesktops, listVolumes}

// Message is what the server sends over the websocket: the whole model once, then numbered changes, and a beat now and
// then so that silence means a lost connection. See FEED.md.
type Message struct {
	Type   string    `json:"type"`             // "snapshot", "change" or "beat"
	Seq    uint64    `json:"seq"`              // a change leads from the state numbered Seq-1 to this one
	At     time.Time `json:"at"`               // the server's clock, when the model was read
	Health *Health   `json:"health,omitempty"` // left out of a change: as before
	Model  *Model    `json:"model,omitempty"`  // snapshots only
	Upsert *Upserts  `json:"upsert,omitempty"` // changes only: items that are new or differ, whole
	Remove *Removals `json:"remove,omitempty"` // changes only: keys that are gone
}

// Health says whether the figures are fresh.
type Health struct {
	OK      bool   `json:"ok"`
	Message string `json:"message,omitempty"` // why they are not, and what to do
}

// Upserts are the items of a change. Totals is whole.
type Upserts struct {
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	Streams   []Stream   `json:"streams,omitempty"`
	Uploads   []Upload   `json:"uploads,omitempty"`
	Desktops  []Desktop  `json:"desktops,omitempty"`
	Volumes   []Volume   `json:"volumes,omitempty"`
	Totals    *Totals    `json:"totals,omitempty"`
}

// Removals are the keys of a change: id, or name for desktops and volumes.
type Removals struct {
	Endpoints []string `json:"endpoints,omitempty"`
	Streams   []string `json:"streams,omitempty"`
	Uploads   []string `json:"uploads,omitempty"`
	Desktops  []string `json:"desktops,omitempty"`
	Volumes   []string `json:"volumes,omitempty"`
}

// Request is what the page sends: only ever {"type":"resync"}.
type Request struct {
	Type string `json:"type"`
}

// row is one item with its key, encoded once for everybody.
type row struct {
	key  string
	json json.RawMessage
}

// state is a model as encoded rows: what diff compares and what messages are put together from.
type state struct {
	rows   map[string][]row
	totals json.RawMessage
	health json.RawMessage
}

// encode turns a model into rows, each list cut at MaxLive. A key that comes twice keeps its first row.
func encode(m Model, h Health) (state, error) {
	s := state{rows: make(map[string][]row, len(lists))}
	var err error
	put := func(list string, n int, item func(int) (string, any)) {
		if err != nil {
			return
		}
		s.rows[list], err = encodeList(n, item)
		if err != nil {
			err = fmt.Errorf("console: encode %s: %w", list, err)
		}
	}
	put(listEndpoints, len(m.Endpoints), func(i int) (string, any) { return m.Endpoints[i].ID, &m.Endpoints[i] })
	put(listStreams, len(m.Streams), func(i int) (string, any) { return m.Streams[i].ID, &m.Streams[i] })
	put(listUploads, len(m.Uploads), func(i int) (string, any) { return m.Uploads[i].ID, &m.Uploads[i] })
	put(listDesktops, len(m.Desktops), func(i int) (string, any) { return m.Desktops[i].Name, &m.Desktops[i] })
	put(listVolumes, len(m.Volumes), func(i int) (string, any) { return m.Volumes[i].Name, &m.Volumes[i] })
	if err != nil {
		return s, err
	}
	if s.totals, err = json.Marshal(m.Totals); err != nil {
		return s, fmt.Errorf("console: encode totals: %w", err)
	}
	s.health, err = json.Marshal(h)
	return s, err
}

func encodeList(n int, item func(int) (string, any)) ([]row, error) {
	n = min(n, MaxLive)
	rows, seen := make([]row, 0, n), make(map[string]bool, n)
	for i := range n {
		key, v := item(i)
		if seen[key] {
			continue
		}
		seen[key] = true
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		rows = append(rows, row{key, b})
	}
	return rows, nil
}

// change is the difference between two states, in the shape of [Message].
type change struct {
	Type   string                     `json:"type"`
	Seq    uint64                     `json:"seq"`
	At     time.Time                  `json:"at"`
	Health json.RawMessage            `json:"health,omitempty"`
	Model  map[string]json.RawMessage `json:"model,omitempty"`
	Upsert map[string]json.RawMessage `json:"upsert,omitempty"`
	Remove map[string][]string        `json:"remove,omitempty"`
}

// diff says what leads from a to b; ok is false if nothing does.
func diff(a, b state) (c change, ok bool) {
	c = change{Type: "change", Upsert: map[string]json.RawMessage{}, Remove: map[string][]string{}}
	for _, list := range lists {
		upsert, remove := diffRows(a.rows[list], b.rows[list])
		if len(upsert) > 0 {
			c.Upsert[list] = join(upsert)
		}
		if len(remove) > 0 {
			c.Remove[list] = remove
		}
	}
	if !bytes.Equal(a.totals, b.totals) {
		c.Upsert["totals"] = b.totals
	}
	if !bytes.Equal(a.health, b.health) {
		c.Health = b.health
	}
	return c, len(c.Upsert) > 0 || len(c.Remove) > 0 || c.Health != nil
}

func diffRows(a, b []row) (upsert []row, remove []string) {
	old := make(map[string]json.RawMessage, len(a))
	for _, r := range a {
		old[r.key] = r.json
	}
	for _, r := range b {
		if was, ok := old[r.key]; !ok || !bytes.Equal(was, r.json) {
			upsert = append(upsert, r)
		}
		delete(old, r.key)
	}
	for _, r := range a {
		if _, gone := old[r.key]; gone {
			remove = append(remove, r.key)
		}
	}
	return upsert, remove
}

// whole is the snapshot message of a state, without number and time.
func whole(s state) change {
	c := change{Type: "snapshot", Health: s.health, Model: map[string]json.RawMessage{"totals": s.totals}}
	for _, list := range lists {
		c.Model[list] = join(s.rows[list])
	}
	return c
}

// join puts rows together as a JSON array.
func join(rows []row) json.RawMessage {
	parts := make([][]byte, len(rows))
	for i, r := range rows {
		parts[i] = r.json
	}
	b := append([]byte{'['}, bytes.Join(parts, []byte{','})...)
	return append(b, ']')
}
