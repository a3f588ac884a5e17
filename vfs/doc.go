// Package vfs is a desktop as files over a backing directory. It knows no kernel
// API: hosts (fuse, winfsp) translate.
//
// # Nodes
//
// A Node stands for one entry of the backing directory, whatever its names. A
// host gets nodes by Lookup and the calls that create, each of which counts one
// reference, and gives them back by Forget. Whatever a node needs of the disk is
// asked of the disk; nothing is remembered but how much of it is native.
//
// # Waiting
//
// Reading a directory that is not listed, or a file that is not here, waits for
// the network, for at most fetch.Options.Deadline, and ends at once when its
// context does. Nothing else waits for the network, and no lock is held while
// something does.
//
// # Locks
//
// Node.mu guards how much of a file is here and is held during writes to the
// local disk. Under it, FS.names is held for reading while a system call uses a
// name, and for writing while names change. Under that, FS.table guards the maps
// and reference counts, and the settler's lock what waits to be settled. A later
// lock is taken under an earlier one, never the other way round. Node.plant, and
// before it FS.settling, are taken before all of them.
package vfs
