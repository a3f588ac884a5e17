package vfs

import "context"

// Use is one use of the desktop by somebody, for whoever learns from it: an open of
// a file, a read of one that was not all here when it was opened, or the first
// time that this process was asked for names in a directory. Other reads are the
// kernel's alone.
type Use struct {
	// Path is below the root, slash-separated.
	Path string
	// User is who asks, as far as the host's context says under Caller.
	User uint32
	// Dir says that it is a directory, Watched that of the file that is opened reads will be told.
	Dir, Watched bool
	// Off and N are what is read; N is 0 for an open.
	Off int64
	N   int
}

// Caller is the key under which a host's context holds the number of the user who asks, as a uint32.
var Caller caller

type caller struct{}

// used tells of a use of n.
func (f *FS) used(n *Node, u Use) {
	u.Path = f.Path(n)
	f.o.Used(u)
}

func userOf(ctx context.Context) uint32 {
	user, _ := ctx.Value(Caller).(uint32)
	return user
}

// usedDir tells of the first use of a directory's names.
func (f *FS) usedDir(ctx context.Context, n *Node) {
	if f.o.Used != nil && !n.noted.Load() && n.noted.CompareAndSwap(false, true) {
		f.used(n, Use{Dir: true, User: userOf(ctx)})
	}
}
