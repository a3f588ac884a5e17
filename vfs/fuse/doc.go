// Package fuse shows a desktop as a Linux file system, over go-fuse's raw
// protocol: a node of the kernel is a node of vfs, so there is no second table of
// inodes and a listing costs one system call for each entry.
//
// The kernel keeps entries and attributes for as long as it likes: nothing but
// its own requests changes what is visible but the list of snapshots, which it
// keeps for seconds. Files that are all here are handed to the kernel
// (passthrough), which then reads and writes the disk by itself.
// The kernel forbids cached and passed-through opens of one inode at a time, so
// a file opened before it was all here stays cached until its last close. Small
// native files are put into the page cache when they are opened for reading; the
// kernel drops that when the file is passed through or cut.
//
// POSIX.md says what is not as on the disk beneath, and what operations cost.
//
// A wait for the network ends when the waiting process is killed. Other signals
// do not end it: programs do not expect an interrupted read from a disk.
//
// With a Handover a mount outlives its process: what is under way when that is
// killed is answered by the next one. What the next one cannot open again is stale:
// the history that was open, and a file whose last name went while it was being
// opened. The kernel freezes a program that waits here, as for a suspend, only once
// it is answered; so does one die that is killed while the serving process is
// stopped.
package fuse
