// Package history is the snapshots of a desktop as one read-only tree: a
// directory for each, in which everything is as it was then, fetched when it is
// read.
//
// A tree is read straight from its nodes and chunks. Nothing is kept on the
// disk, so that looking into the past takes no room from the desktop and leaves
// nothing behind. In memory are the latest nodes and chunks, up to a bound, and
// what whoever calls remembers of single entries.
//
// Entries are numbered by what they are called and where, so that they have the
// same numbers whenever and wherever they are seen, names of one hard-linked
// file share one, and none is the number of an entry on a disk: file systems
// number from below.
//
// The list of snapshots is the server's. What was asked for is taken for true
// for Fresh; what is known of a snapshot serves as well while the server is out
// of reach.
package history
