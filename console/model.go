package console

import (
	"encoding/json"
	"time"
)

// MaxLive bounds each list of a [Model]: the feed carries what moves, not the whole fleet. Tables come from [Pages].
const MaxLive = 1000

// Model is everything that the overview shows, at one moment. It is also the document of `loomctl status --output json`.
//
// Lists hold at most [MaxLive] items, what moves or waits for a person first; [Totals] counts all there is.
// Byte figures are plain (decoded) bytes unless their name says stored or sent. Times are RFC 3339 in UTC; a time
// that has not come is left out.
type Model struct {
	Endpoints []Endpoint `json:"endpoints"`
	Streams   []Stream   `json:"streams"`
	Uploads   []Upload   `json:"uploads"`
	Desktops  []Desktop  `json:"desktops"`
	Volumes   []Volume   `json:"volumes"`
	Totals    Totals     `json:"totals"`
}

// MarshalJSON writes empty lists as [], never as null, so that jq and scripts can walk them.
func (m Model) MarshalJSON() ([]byte, error) {
	type plain Model
	m.Endpoints = orEmpty(m.Endpoints)
	m.Streams = orEmpty(m.Streams)
	m.Uploads = orEmpty(m.Uploads)
	m.Desktops = orEmpty(m.Desktops)
	m.Volumes = orEmpty(m.Volumes)
	return json.Marshal(plain(m))
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// State says how far an endpoint is trusted.
type State string

// The states of an endpoint.
const (
	Pending  State = "pending"  // asked in; may do nothing until an admin approves
	Approved State = "approved" // holds a certificate
	Revoked  State = "revoked"  // is refused everywhere
)

// Endpoint is a device and what it does now.
type Endpoint struct {
	ID       string    `json:"id"`       // device id, as `looming enroll` prints it
	Name     string    `json:"name"`     // what admins call it
	Hostname string    `json:"hostname"` // what it calls itself
	Key      string    `json:"key"`      // the SHA-256 of its public key, in hexadecimal, as `looming enroll` prints it
	Address  string    `json:"address"`  // where it was last seen from
	OS       string    `json:"os"`
	State    State     `json:"state"`
	Online   bool      `json:"online"`
	LastSeen time.Time `json:"last_seen,omitzero"`
	Activity string    `json:"activity"` // one short phrase ("streaming alice", "centralizing"), empty when idle
}

// Phase is where a stream or an upload is in its life.
type Phase string

// The phases of a stream, in order; Offline, Stopped and Failed may come at any point.
const (
	Listing   Phase = "listing"   // the tree is being read
	Start     Phase = "start"     // the start set arrives: what the desktop reads until it is usable
	Filling   Phase = "filling"   // usable; the rest arrives in tally order
	Verifying Phase = "verifying" // all here; checked against the snapshot
	Waiting   Phase = "waiting"   // could pivot, but waits for what Message says
	Pivoting  Phase = "pivoting"  // the virtual file system steps aside
	Native    Phase = "native"    // the disk is the desktop
	Offline   Phase = "offline"   // the endpoint, or its server, is out of reach; it goes on by itself
	Stopped   Phase = "stopped"   // interrupted by whoever ran it; the same command goes on
	Failed    Phase = "failed"    // ended; Message says why and what to do
)

// The phases of an upload, in order; Failed and Offline as above.
const (
	Scanning   Phase = "scanning"   // the disk is walked
	Uploading  Phase = "uploading"  // chunks that the server lacks are sent
	Committing Phase = "committing" // the server checks that the snapshot is complete
	Committed  Phase = "committed"  // it is there for good
)

// Stream is one desktop coming to one endpoint.
//
// BytesDone counts what is on the endpoint's disk and verified. It is made of DemandBytes (somebody waited for them),
// PrefetchBytes (came in the background) and the rest, which was there before (reused from the old disk).
type Stream struct {
	ID       string `json:"id"`
	Device   string `json:"device"`
	CVD      string `json:"cvd"`
	Snapshot string `json:"snapshot"`
	Target   string `json:"target"` // directory on the endpoint

	Phase   Phase  `json:"phase"`
	Message string `json:"message,omitempty"` // what it waits for, or why it failed and what to do

	StartDone     int64 `json:"start_done"` // bytes of the start set
	StartTotal    int64 `json:"start_total"`
	BytesDone     int64 `json:"bytes_done"`
	BytesTotal    int64 `json:"bytes_total"`
	FilesDone     int64 `json:"files_done"`
	FilesTotal    int64 `json:"files_total"`
	DemandBytes   int64 `json:"demand_bytes"`
	PrefetchBytes int64 `json:"prefetch_bytes"`
	DemandCount   int64 `json:"demand_count"` // reads that had to wait

	Current        string  `json:"current,omitempty"` // file being fetched
	BytesPerSecond int64   `json:"bytes_per_second"`
	ETASeconds     *int64  `json:"eta_seconds"`            // null: not known
	RateHistory    []int64 `json:"rate_history,omitempty"` // bytes/s, oldest first; the hub keeps it where the Fleet leaves it nil
	Misses         []Miss  `json:"misses,omitempty"`       // recent reads that waited, latest first

	Started time.Time `json:"started,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
}

// Miss is one read of something that was not here yet.
type Miss struct {
	Path   string    `json:"path"`
	Bytes  int64     `json:"bytes"`
	WaitMS int64     `json:"wait_ms"`
	At     time.Time `json:"at,omitzero"`
}

// Upload is a snapshot being made.
type Upload struct {
	ID             string    `json:"id"`
	Device         string    `json:"device"`
	CVD            string    `json:"cvd"`
	Phase          Phase     `json:"phase"`
	Message        string    `json:"message,omitempty"`
	FilesDone      int64     `json:"files_done"`
	BytesRead      int64     `json:"bytes_read"`
	BytesSent      int64     `json:"bytes_sent"` // compressed frames over the network
	BytesPerSecond int64     `json:"bytes_per_second"`
	Current        string    `json:"current,omitempty"`
	Started        time.Time `json:"started,omitzero"`
	Updated        time.Time `json:"updated,omitzero"`
}

// Desktop is a CVD and what it costs.
type Desktop struct {
	Name         string    `json:"name"`  // the CVD
	Owner        string    `json:"owner"` // device id
	Snapshots    int64     `json:"snapshots"`
	LastSnapshot time.Time `json:"last_snapshot,omitzero"`
	LogicalBytes int64     `json:"logical_bytes"` // the latest snapshot, as files
	StoredBytes  int64     `json:"stored_bytes"`  // all its snapshots in packs, shared chunks counted whole
	UniqueBytes  int64     `json:"unique_bytes"`  // of those, what no other desktop uses
	SavedBytes   int64     `json:"saved_bytes"`   // all its snapshots as files, less UniqueBytes
	SavedShare   float64   `json:"saved_share"`   // SavedBytes of all its snapshots as files, 0 to 1
}

// Snapshot is one committed state of a desktop.
type Snapshot struct {
	ID           string    `json:"id"`
	CVD          string    `json:"cvd"`
	Device       string    `json:"device"` // that made it
	At           time.Time `json:"at"`
	Files        int64     `json:"files"`
	LogicalBytes int64     `json:"logical_bytes"`
	NewBytes     int64     `json:"new_bytes"` // stored bytes that it added
}

// Volume is a place for packs.
type Volume struct {
	Name      string `json:"name"`
	UsedBytes int64  `json:"used_bytes"` // by packs
	FreeBytes int64  `json:"free_bytes"` // left to write; -1: unbounded
	Message   string `json:"message,omitempty"`
}

// Totals are counts and sums over everything, not only over what the lists show.
// LogicalBytes = StoredBytes + DedupSavedBytes + CompressionSavedBytes.
type Totals struct {
	Endpoints             int64 `json:"endpoints"`
	Online                int64 `json:"online"`
	Pending               int64 `json:"pending"`
	Streams               int64 `json:"streams"` // under way
	Uploads               int64 `json:"uploads"` // under way
	Desktops              int64 `json:"desktops"`
	Snapshots             int64 `json:"snapshots"`
	LogicalBytes          int64 `json:"logical_bytes"` // every snapshot as files
	StoredBytes           int64 `json:"stored_bytes"`  // in packs
	DedupSavedBytes       int64 `json:"dedup_saved_bytes"`
	CompressionSavedBytes int64 `json:"compression_saved_bytes"`
}
