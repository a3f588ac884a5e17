// Package winfsp shows a desktop as a Windows file system, through WinFsp and
// cgofuse. It works through libfuse as well, where its tests run the conformance
// suite of the other hosts; on Linux, package fuse is the one to use.
//
// cgofuse names entries by paths: each call looks its path up in the core,
// component by component, and forgets it afterwards; what is open is held by its
// handle. Names are compared as the disk beneath does, on NTFS without regard
// to case.
//
// What cgofuse has no calls for is not here: handing files to the kernel
// (passthrough), listing with attributes into the kernel's cache of entries,
// fallocate, lseek to data and holes, and on libfuse 2 the flags of renameat2.
// It does not say when a caller gave up: a wait for the network ends with the
// core's deadline.
package winfsp
