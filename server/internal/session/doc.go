// Package session is what a device does with content on the server: upload
// sessions, their commit as a snapshot, and reading chunks back.
//
// # What holds
//
// A chunk counts only when its pack is durable and its row is in the index, in
// this order; a snapshot counts only when everything that it reaches does, and
// was checked. What a session uploaded or proved is kept as sets of serials in
// the database, so that any server can go on where another stopped.
//
// A device is entitled to a chunk if a snapshot of the CVD reaches it, or if it
// uploaded or proved it in the session. That the server holds a chunk is not
// enough: a hash is not a capability.
//
// # Memory
//
// Everything here is bounded by Options and the constants in the package, not
// by the size of a desktop: 2 to 4 MiB for an upload, a MiB for each window of
// a download, a few MiB for what else
// is asked (see Enter), and 40 MiB for the caches of the process.
//
// # Locks
//
// Each cache has one mutex that guards its maps, held for no I/O and never
// together with another.
package session
