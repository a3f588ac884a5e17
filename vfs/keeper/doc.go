// Package keeper keeps a process running that must not be missed. The keeper
// starts it, holds descriptors for it, and when it dies starts it anew with the
// descriptors that the dead one had given away. The keeper itself does so little
// that nothing in it fails or wants an upgrade.
//
// What the two say to each other is what a service says to systemd that has
// FileDescriptorStoreMax: under systemd a service needs no keeper of its own.
package keeper
