// Package durable makes changes to files survive a power cut.
//
// It is the only package of the project that syncs and renames, so that what is promised about crashes is
// written, and broken on purpose by tests, in one place.
//
// # What is promised
//
// A function whose comment says that it is durable keeps this contract: before it returns, a crash leaves the
// old state or the new one, never a mixture; after it returned nil, the new state is there after a power cut.
// [WriteFile], [File.Commit], [Rename], [RenameExchange], [Remove], [MkdirAll] are durable. [RenameLazy],
// RenameAt and [File.Write] are not: they are made durable later, by [SyncDir], [SyncFile] or [SyncFS].
//
// # Many files at once
//
// One sync per file is slow. To replace many files: write each under a temporary name, call [FS.Sync] once,
// rename all of them with [RenameLazy] or RenameAt, and call [FS.Sync] again. A crash in between leaves each
// name with its old or its new content, because no name appears before its bytes are on the disk.
//
// # A failed sync is final
//
// When a sync fails, the kernel has marked the pages clean and may have dropped them; a second sync of the same
// file then succeeds and tells nothing. Errors of a sync therefore wrap [ErrSync]. Whoever gets one must treat
// what was written since the last good sync as lost, and write it anew to another file. A [File] whose sync or
// write failed can only be aborted.
//
// # Full disks
//
// Errors wrap the system's own, so errors.Is(err, syscall.ENOSPC) holds for a full disk. [WriteFile] and [File]
// fail before the old content is touched.
//
// # Concurrency
//
// The functions may be called from several goroutines; a [File] belongs to one.
package durable
