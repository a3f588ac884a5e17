package cvd

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// SnapshotID names a snapshot: eight random bytes, shown as 16 hexadecimal digits.
type SnapshotID [8]byte

// NewSnapshotID returns a fresh id.
func NewSnapshotID() (id SnapshotID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// ParseSnapshotID reads what String writes.
func ParseSnapshotID(s string) (id SnapshotID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return SnapshotID{}, fmt.Errorf("snapshot id %q: want 16 hexadecimal digits", s)
	}
	return SnapshotID(b), nil
}

// String is the id in hexadecimal.
func (id SnapshotID) String() string { return hex.EncodeToString(id[:]) }

// IsZero says whether the id is unset.
func (id SnapshotID) IsZero() bool { return id == SnapshotID{} }

// MarshalText implements encoding.TextMarshaler.
func (id SnapshotID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *SnapshotID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseSnapshotID(string(b))
	return err
}

// nameTime is how a snapshot's name says when it was taken: sorted, and without
// what a file's name may not have on some system.
const nameTime = "2006-01-02T15-04-05Z"

// Name is what people call the snapshot where they see it among files: when it
// was taken, in UTC, and its id.
func (s *Snapshot) Name() string {
	return s.Taken.UTC().Format(nameTime) + "-" + s.ID.String()
}

// SnapshotRef is the id in a snapshot's Name. Whatever else stands for a
// snapshot (its id, the start of it, "latest") is returned as it is.
func SnapshotRef(name string) string {
	taken, id := name[:min(len(nameTime), len(name))], name[min(len(nameTime)+1, len(name)):]
	if _, err := time.Parse(nameTime, taken); err != nil || taken+"-"+id != name {
		return name
	}
	if _, err := ParseSnapshotID(id); err != nil {
		return name
	}
	return id
}

// Snapshot is one root plus who, when, and under what it was made.
type Snapshot struct {
	ID   SnapshotID `json:"id"`
	CVD  string     `json:"cvd"`
	Root Root       `json:"root"`
	// Parent is the snapshot of the same CVD before it, zero for the first.
	Parent SnapshotID `json:"parent,omitzero"`
	// Device is the name of the endpoint that made it, Host its machine's name.
	Device string    `json:"device"`
	Host   string    `json:"host,omitempty"`
	Taken  time.Time `json:"taken"`
	// Sums is what it holds.
	Files uint64 `json:"files"`
	Dirs  uint64 `json:"dirs"`
	Bytes uint64 `json:"bytes"`
	// Unreadable counts what could not be read and is missing in it.
	Unreadable uint64 `json:"unreadable,omitempty"`
	// Layers and Policy are those it was made under.
	Layers []Root `json:"layers,omitempty"`
	Policy string `json:"policy,omitempty"`
}
