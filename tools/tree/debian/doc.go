// Package debian makes a small real Debian 12 system in a directory, once, and
// keeps it.
//
// The tree has a shell, coreutils, git and python3, installed by Debian's own
// tools from the mirrors that this machine uses, and in /home/user a user's
// data: documents, a mailbox, a cache, and everything odd that package odd
// makes. It is about 300 MB.
//
// What Tree gives is shared by all tests of this machine: read it, and copy it
// to change it. It is in the user's cache under a name that holds a hash of how
// it was made, and appears there when it is complete.
package debian
