// Package odd makes a directory with everything that a Linux file system
// holds and that programs forget: every type of file, every kind of name, time,
// owner, mode, link, attribute and hole.
//
// It needs root, for device nodes, owners and capabilities, and a file system
// with extended attributes and ACLs.
package odd
