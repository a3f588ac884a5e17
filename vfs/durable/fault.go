package durable

import "sync/atomic"

// Names of operations, as a fault function sees them.
const (
	OpCreate   = "create"   // a temporary file is made
	OpWrite    = "write"    // bytes go into a File
	OpSync     = "sync"     // a file's bytes and attributes to the disk
	OpSyncDir  = "syncdir"  // a directory's names to the disk
	OpSyncFS   = "syncfs"   // a whole file system to the disk
	OpStart    = "start"    // a file's bytes on their way to the disk, without waiting
	OpRename   = "rename"   // a name moves, replacing what was there or not
	OpExchange = "exchange" // two names swap
	OpMkdir    = "mkdir"
	OpRemove   = "remove"
)

// Op is one operation at which a test may interfere.
type Op struct {
	Name string // one of the Op constants
	Path string // what it works on; for a rename the old name
	To   string // the new name of a rename or an exchange
	// After is false before the operation and true when it has succeeded.
	After bool
}

var fault atomic.Pointer[func(Op) error]

// SetFault makes every operation call f before it starts and again when it has succeeded, and returns a function
// that puts back what was set before. It is for tests alone: f may end the process to play a crash. An error from
// the call before is returned in the operation's place, which does not happen then; an error from the call after is
// returned although it did happen. f may be called from several goroutines at once.
//
// When nothing is set, an operation costs one atomic load more.
func SetFault(f func(Op) error) (restore func()) {
	next := &f
	if f == nil {
		next = nil
	}
	old := fault.Swap(next)
	return func() { fault.Store(old) }
}

// do runs one operation between its two faults.
func do(op Op, run func() error) error {
	f := fault.Load()
	if f == nil {
		return run()
	}
	op.After = false
	if err := (*f)(op); err != nil {
		return err
	}
	if err := run(); err != nil {
		return err
	}
	op.After = true
	return (*f)(op)
}
