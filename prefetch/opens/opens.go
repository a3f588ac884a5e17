// Package opens tells which files of a native desktop are opened.
//
// What it costs is bounded by construction. Opens are counted in slices of time. A slice in which more files are opened
// than a person's programs open has a bulk job in it (a backup, a build, a search), which says nothing about use: nothing
// of that slice is told, and nothing is watched for the rest of it, and longer each time that it goes on.
package opens

import "time"

// Options say how much is watched; the zero value works.
type Options struct {
	// Slice is how long opens are counted, 1 s by default; Most is how many there may be in it, 1000 by default.
	Slice time.Duration
	Most  int
}

// pauseMax is the longest time in slices for which nothing is watched while a bulk job goes on.
const pauseMax = 32

// Used is told of a file that was opened, by its path below the root, and of who did.
type Used func(path string, user uint32)

// open is one open in a slice.
type open struct {
	path string
	user uint32
}

func (o Options) orDefaults() Options {
	if o.Slice == 0 {
		o.Slice = time.Second
	}
	if o.Most == 0 {
		o.Most = 1000
	}
	return o
}
