// Package cvd describes a desktop as data: entries, the tree nodes that hold
// them, and snapshots. A directory is a Merkle node; a Root is the id of a tree
// that stands for a whole desktop or layer. FORMAT.md is the specification of
// the encoding, which is canonical: one tree has exactly one.
//
// Nothing that belongs to one machine's disk (inode, ctime, atime) is here, so
// that two machines with the same directory share its node.
package cvd
