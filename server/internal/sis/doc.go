// Package sis is the single-instance store: packs of chunks on volumes.
//
// A pack is immutable and describes itself (FORMAT.md), so that the index in the
// database can be made again from the packs alone. This package knows files and
// bytes; which chunk lies where, and who may read it, is the database's.
//
// What is written is verified first (Receive) and durable before it counts
// (Writer.Seal). What is read back is checked against the record's checksum, so
// that a damaged record is an error and never bytes.
package sis
