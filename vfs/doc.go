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
// # The past
//
// With Options.History the desktop's snapshots are below history.Name in the top
// directory. They are nodes without an entry in the backing directory, so neither
// a scan, nor what counts what is not native, nor a pivot knows of them. The name
// is found and not listed: whoever walks the desktop does not walk all that it
// ever was. Every change there is EROFS, a hard link out of it EXDEV. A desktop
// that has an entry of that name itself keeps it, and its history is not shown.
//
// # Waiting
//
// Reading a directory that is not listed, a file that is not here, or the past
// waits for the network, for at most fetch.Options.Deadline, and ends at once when
// its context does. Nothing else waits for the network, and no lock is held while
// something does.
//
// # What the disk holds already
//
// Options.Near is asked before the network, by whoever waits and by the
// background. A large file of which nothing is here yet shares its bytes with one
// that the disk holds, where the file system can: it is cloned and checked where
// nobody sees it, and only then cloned into the placeholder.
//
// # Reading ahead
//
// A line with a delay is slow for whoever asks for one small thing after another.
// Three kinds of programs do, and for each a lead runs ahead: a stream for a file
// that is read from one end to the other, a sweep for a tree that is read file after
// file, a scout for one that is listed directory after directory. What a lead
// brings is kept as all that is fetched, and settled with it. A lead begins when
// three files are read that follow each other in the tree (or two pieces of one file,
// or a directory is listed that was not), goes on as what it brought is used, and
// stops with its reader. Files and directories are looked at by inode and place, not
// by process: the threads of a scanner are one reader.
//
// Programs can be barred from having content fetched (Bar); they may list.
//
// # Locks
//
// Node.mu guards how much of a file is here and is held during writes to the
// local disk. Under it, FS.names is held for reading while a system call uses a
// name, and for writing while names change. Under that, FS.table guards the maps
// and reference counts, and the settler's lock what waits to be settled. A later
// lock is taken under an earlier one, never the other way round. Node.plant, and
// before it FS.settling, are taken before all of them, and so is ahead.mu, under
// which only FS.names and FS.table are taken. Handle.mu and stream.mu are taken alone.
package vfs
