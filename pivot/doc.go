// Package pivot makes a streamed directory the real one: quiesce, verify, unmount, rename.
//
// While a desktop streams, TARGET (say /x/desk) is the mount point of the virtual file system, and the work
// directory /x/.desk.looming beside it holds the backing directory. When everything is native, [Run] holds writers
// back, has the backing directory verified and synced, unmounts, and lets one durable exchange of two names make the
// backing directory TARGET. Before the exchange a crash leaves the old desktop, after it the new one; nothing in
// between has a name. Nothing of Looming remains inside the desktop, and beside it only an old tree that is kept.
//
// # Pure core, thin shell
//
// [Machine] is a pure function from a state and an event to the next state and one action; it has no clock, disk or
// goroutine, and its tests explore all of it. [Run], [Accept], [Revert] and [Forget] execute it through vfs/durable. What is true
// is read from the disk as [Facts]; [Recover] tells them after a crash. The journal in the work directory says what was
// meant, for people; nothing is decided by it. STATES.md has the diagram, and what each crash leaves.
//
// # Facts
//
// The mark, a file in the work directory, names the backing directory by inode and time of birth before the exchange.
// The pivot has happened if, and only if, the directory at TARGET is the one that the mark names. After that the work
// directory is only waste, or holds the old tree; renaming it away is what ends a pivot.
//
// # Programs that are in the way
//
// A mount cannot go while programs have files, working directories or mappings in it. Run does not pull it away: it
// waits without holding anybody back, says for whom, and holds writers back only when nobody is there, for as long as
// it takes to verify. Its messages, as a [Reporter] gets them:
//
//	waiting for vim (PID 123), which has /x/desk/a.txt open
//	waiting for bash (PID 77), which works in /x/desk/src; and for python3 (PID 80), which runs /x/desk/usr/bin/python3
//	waiting for /x/desk/proc, which is mounted there: umount /x/desk/proc
//	/x/desk is the desktop now; the old one is kept in /x/.desk.looming/old until it is accepted or reverted
//
// # The old desktop
//
// TARGET must be empty beneath the mount unless Options.Replace says that it holds an old desktop. That is then kept
// until [Accept] removes it, and [Revert] brings it back with the same single exchange.
//
// # Windows
//
// WinFsp makes TARGET appear when it mounts and disappear when it unmounts, so there the switch is one move of the
// backing directory to a name that is free. There is no exchange of names, so an old desktop cannot be replaced there.
package pivot
