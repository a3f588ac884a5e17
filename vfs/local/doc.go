// Package local finds chunks in what this disk already holds: the files of a tree
// that was there before, such as the system that a new one replaces.
//
// An [Index] says where the chunks of one tree lie: in which file, at which
// offset. It also holds the tree nodes and list chunks that a snapshot of the tree
// would have, which are in no file, so that subtrees that have not changed are
// listed without a network. Whoever scans the tree fills it through a [Builder];
// what is added is found at once. A [Source] answers from indexes.
//
// # A cache
//
// An index promises nothing. The tree lives on, so every byte is checked against
// its id before it is given, and an index that is lost, old, cut short or damaged
// costs fetches, never wrong bytes. Nothing in a tree is followed out of it: no
// symlink, no mount point; nothing but regular files is opened.
//
// # Memory
//
// A Builder holds some ten thousand records and sorts them into runs on the disk;
// of what is on the disk memory holds eight bytes for each four kilobytes.
//
// # Locks
//
// Index.mu guards which files make up the index, Builder.mu what is not in them
// yet; the first is never taken under the second. Files are read with neither.
package local
