package wire

import (
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// EnrollRequest asks in. The key stays on the device.
type EnrollRequest struct {
	// Name is what the device wants to be called; unique in the organisation.
	Name string `json:"name"`
	Host string `json:"host"`
	OS   string `json:"os"`
	// CSR is a PKCS#10 request in PEM.
	CSR string `json:"csr"`
	// Token approves at once where it is valid.
	Token string `json:"token,omitempty"`
}

// EnrollReply says where the request stands. The endpoint repeats the same
// request until it has a certificate or a refusal.
type EnrollReply struct {
	Device string `json:"device"`
	// State is "pending" or "approved".
	State string `json:"state"`
	// Fingerprint is the SHA-256 of the device's public key, for the admin to compare.
	Fingerprint string `json:"fingerprint"`
	// Certificate and CA are PEM chains, set once approved.
	Certificate string `json:"certificate,omitempty"`
	CA          string `json:"ca,omitempty"`
}

// RenewRequest asks for a new certificate over the connection of the old one.
type RenewRequest struct {
	CSR string `json:"csr"`
}

// CVD is a centralized virtual desktop.
type CVD struct {
	Name      string         `json:"name"`
	Device    string         `json:"device"`
	Created   time.Time      `json:"created"`
	Snapshots int            `json:"snapshots"`
	Latest    cvd.SnapshotID `json:"latest,omitzero"`
}

// BeginRequest opens an upload session for a CVD, made where it does not exist.
type BeginRequest struct {
	CVD string `json:"cvd"`
}

// Session is an open upload session.
type Session struct {
	ID string `json:"id"`
	// Lease is how many seconds it lives without a request.
	Lease int `json:"lease"`
	// Latest is the CVD's last snapshot, zero if there is none.
	Latest cvd.SnapshotID `json:"latest,omitzero"`
	Root   cvd.Root       `json:"root,omitzero"`
}

// Proof answers a Challenge.
type Proof struct {
	ID  chunk.ID `json:"id"`
	MAC chunk.ID `json:"mac"`
}

// ProveRequest asks for challenges (IDs) or answers them (Proofs).
type ProveRequest struct {
	IDs    []chunk.ID `json:"ids,omitempty"`
	Proofs []Proof    `json:"proofs,omitempty"`
}

// ProveReply has the challenges asked for, or the ids whose proof failed.
type ProveReply struct {
	Challenges []Challenge `json:"challenges,omitempty"`
	Refused    []chunk.ID  `json:"refused,omitempty"`
}

// UploadReply acknowledges one pack: everything in it is durable.
type UploadReply struct {
	Chunks int   `json:"chunks"`
	Bytes  int64 `json:"bytes"`
}

// CommitRequest ends a session with a snapshot.
type CommitRequest struct {
	Root       cvd.Root  `json:"root"`
	Host       string    `json:"host,omitempty"`
	Taken      time.Time `json:"taken"`
	Unreadable uint64    `json:"unreadable,omitempty"`
}

// Progress is what an endpoint says about itself while it works, at most four
// times a second, for the console. Byte counts are of plain bytes.
type Progress struct {
	// Kind is "stream" or "snapshot".
	Kind     string         `json:"kind"`
	CVD      string         `json:"cvd"`
	Snapshot cvd.SnapshotID `json:"snapshot,omitzero"`
	Target   string         `json:"target,omitempty"`
	// Phase of a stream: listing, start, filling, verifying, waiting, pivoting, native, offline, stopped, failed;
	// of a snapshot: scanning, uploading, committing, done, failed.
	Phase string `json:"phase"`
	// Message is the error, or what is waited for.
	Message    string `json:"message,omitempty"`
	StartDone  uint64 `json:"start_done"`
	StartTotal uint64 `json:"start_total"`
	BytesDone  uint64 `json:"bytes_done"`
	BytesTotal uint64 `json:"bytes_total"`
	FilesDone  uint64 `json:"files_done"`
	FilesTotal uint64 `json:"files_total"`
	// DemandBytes and PrefetchBytes came over the network (plain size).
	DemandBytes   uint64 `json:"demand_bytes"`
	PrefetchBytes uint64 `json:"prefetch_bytes"`
	DemandCount   uint64 `json:"demand_count"`
	// BytesRead and BytesSent are a snapshot's: read from disk, sent as frames.
	BytesRead uint64 `json:"bytes_read,omitempty"`
	BytesSent uint64 `json:"bytes_sent,omitempty"`
	Current   string `json:"current,omitempty"`
	// Rate is in bytes a second, smoothed; ETA in seconds, 0 if unknown.
	Rate    float64   `json:"rate"`
	ETA     float64   `json:"eta"`
	Started time.Time `json:"started"`
	// Misses are the latest demands that had to wait, newest first, at most 20.
	Misses []Miss `json:"misses,omitempty"`
}

// Miss is one read that had to wait for the network.
type Miss struct {
	Path   string    `json:"path"`
	Bytes  uint64    `json:"bytes"`
	WaitMS float64   `json:"wait_ms"`
	At     time.Time `json:"at"`
}
