package vfs

import (
	"fmt"
	"syscall"
)

// The room that is left to the user of the disk: a fiftieth of it, at most reserveMax.
const (
	reservePart = 50
	reserveMax  = 1 << 30
)

// reserve is what of a disk of some bytes the background leaves free.
func (o *Options) reserve(disk uint64) uint64 {
	if o.Reserve != 0 {
		return o.Reserve
	}
	return min(disk/reservePart, reserveMax)
}

// room says whether the disk has room for what nobody waits for. A demand may use
// the last block: somebody waits for it.
func (f *FS) room() error {
	s, err := f.Space()
	if err != nil {
		return err
	}
	block := uint64(s.BlockSize)
	keep, free := f.o.reserve(s.Blocks*block), s.Avail*block
	if free > keep {
		return nil
	}
	return fmt.Errorf("the disk of %s has %d MiB free, of which %d are left to its user; make room, and the rest comes: %w",
		f.o.Backing, free>>20, keep>>20, syscall.ENOSPC)
}
