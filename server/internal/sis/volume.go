package sis

import (
	"encoding/hex"
	"errors"
	"io"
)

// ErrVolume says that a volume is not there or is not the one it should be:
// unmounted, replaced, or its id file is lost. Nothing is written or judged then.
var ErrVolume = errors.New("volume not available")

// VolumeID names a volume: sixteen random bytes, kept in a file on it.
type VolumeID [16]byte

// String is the id in hexadecimal.
func (id VolumeID) String() string { return hex.EncodeToString(id[:]) }

// Volume is a place for packs. It may be used from several goroutines, and by
// several servers at once.
type Volume interface {
	ID() VolumeID
	// Name is what people call it: its URL.
	Name() string
	// Create starts the pack of that name. Until Commit it belongs to owner (the
	// name of an upload session), for Sweep.
	Create(owner string, name PackName) (PackFile, error)
	// Open opens a pack for reading; fs.ErrNotExist if there is none.
	Open(name PackName) (PackReader, error)
	// Delete removes a pack, durably. One that is not there is no error.
	Delete(name PackName) error
	// Each calls fn for every pack there is.
	Each(fn func(name PackName) error) error
	// Sweep removes the unfinished packs of all owners whom dead names.
	Sweep(dead func(owner string) bool) error
	// Space is the free and total bytes.
	Space() (free, total int64, err error)
}

// PackFile is a pack that is being written.
type PackFile interface {
	io.Writer
	// Commit makes it appear under its name, durably.
	Commit() error
	// Abort drops it; after Commit it does nothing.
	Abort()
}

// PackReader is an open pack.
type PackReader interface {
	io.ReaderAt
	io.Closer
	Size() (int64, error)
}
