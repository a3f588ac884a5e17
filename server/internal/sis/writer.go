package sis

import (
	"crypto/rand"
	"fmt"
)

// Writer makes one pack. It belongs to one goroutine.
type Writer struct {
	Name    PackName
	Volume  Volume
	file    PackFile
	entries []Entry
	at      int64
	frames  int64
}

// NewName returns a fresh pack name.
func NewName() (name PackName) {
	_, _ = rand.Read(name[:]) // never fails
	return name
}

// NewWriter starts a pack on a volume. Always defer Abort: after Seal it does nothing.
func NewWriter(v Volume, owner string, name PackName) (*Writer, error) {
	f, err := v.Create(owner, name)
	if err != nil {
		return nil, err
	}
	w := &Writer{Name: name, Volume: v, file: f, at: headerSize}
	if _, err := f.Write(appendHeader(nil, name)); err != nil {
		f.Abort()
		return nil, err
	}
	return w, nil
}

// Append adds verified records.
func (w *Writer) Append(s *Slab) error {
	if len(w.entries)+len(s.Entries) > MaxRecords {
		return fmt.Errorf("pack %s: more than %d chunks", w.Name, MaxRecords)
	}
	if _, err := w.file.Write(s.Records); err != nil {
		return err
	}
	for _, e := range s.Entries {
		e.Offset += uint32(w.at)
		w.entries = append(w.entries, e)
		w.frames += int64(e.Length)
	}
	w.at += int64(len(s.Records))
	return nil
}

// Len is how many chunks were added, Frames how many bytes of frames, Size the bytes of the pack without its index.
func (w *Writer) Len() int      { return len(w.entries) }
func (w *Writer) Frames() int64 { return w.frames }
func (w *Writer) Size() int64   { return w.at }

// Room says whether the slab still fits.
func (w *Writer) Room(s *Slab) bool { return len(w.entries)+len(s.Entries) <= MaxRecords }

// Seal writes the index and makes the pack durable, or drops it. The entries are in the order of the pack.
func (w *Writer) Seal() ([]Entry, error) {
	tail := make([]byte, 0, indexSize(len(w.entries))+footerSize)
	tail = appendIndex(tail, w.Name, w.entries, w.at)
	if _, err := w.file.Write(tail); err != nil {
		w.file.Abort()
		return nil, err
	}
	w.at += int64(len(tail))
	return w.entries, w.file.Commit()
}

// Abort drops the pack unless it was sealed.
func (w *Writer) Abort() { w.file.Abort() }
