// Package scan reads a real directory tree from disk into a snapshot on a server.
//
// # What it reads
//
// Everything that a file system holds about an entry: see cvd.Entry. It works on directory descriptors, so that paths may
// be longer than the system's limit. It stays on one file system unless told otherwise, and a mount point it does not
// enter is an empty directory in the snapshot. Kernel file systems, what Options exclude, Looming's own state and the
// ".NAME.looming" directories beside its targets, and a file system's lost+found are left out.
//
// # How it flows
//
//	listers  ->  walker  ->  workers  ->  shipper
//	                \           |
//	                 `->  assembler  ->  tree nodes, stat cache
//
// Listers read directories ahead of the walker. The walker goes through the tree in canonical order (depth first, names
// sorted by bytes), joins it with the stat cache, which is in the same order, and gives out a job for each entry that
// changed. Workers read, hash, ask the server, compress; the shipper packs frames and uploads packs. The assembler
// follows the walker in the same order, waits for each entry's job, and makes nodes and the next stat cache. All queues
// and buffers are bounded.
//
// # The stat cache
//
// It is a cache: damage or another version makes it empty. An entry is unchanged if its inode, size, mtime, ctime, mode,
// owner, group and link count are as recorded, and if these were older than the clock's granularity when it was read (as
// in git's index): then its content is not read again. Contents of a cache whose scan committed the desktop's latest
// snapshot are known to be on the server; of any other, such as one whose upload was interrupted, the server is asked.
//
// # What changes meanwhile
//
// A file is taken as it was between two equal stats, and a large file that is read twice only if both readings had the
// same hash. A file that does not hold still is reported as unreadable, with ErrChanging.
package scan
