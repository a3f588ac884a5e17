package pivot

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// What Run, Accept, Revert and Forget fail with, beside the errors of the disk and of Options' interfaces.
var (
	ErrNotNative    = errors.New("not everything is native yet")
	ErrNotEmpty     = errors.New("the target holds files already")
	ErrUnclear      = errors.New("the directories are not where a pivot leaves them")
	ErrNothing      = errors.New("nothing has been streamed")
	ErrReverted     = errors.New("the new desktop was sent back")
	ErrStillMounted = errors.New("something else is mounted at the target")
	ErrNoExchange   = errors.New("the file system cannot exchange two names")
	ErrNotSwitched  = errors.New("the target is not the new desktop yet")
	ErrSwitched     = errors.New("the target is the new desktop already")
	ErrNoOld        = errors.New("no old desktop is kept")
	ErrLocked       = errors.New("another looming process is switching it")
	ErrBusy         = errors.New("programs use the mount")
)

// reasonError says why the machine failed, and what a person can do.
func (sh *shell) reasonError(why Reason) error {
	l := sh.layout
	switch why {
	case ActionFailed:
		return sh.cause
	case NotEmpty:
		return fmt.Errorf("%s: %w that would be lost from sight; move them away", l.Target, ErrNotEmpty)
	case NoBacking:
		return fmt.Errorf("%s: %w to %s; stream it first", l.Target, ErrNothing, l.Backing)
	case WasReverted:
		if sh.facts.Stage() == Reverting {
			return fmt.Errorf("%s: %w (%s), and the old one is not back yet; revert again", l.Target, ErrReverted, sh.revertedWhy())
		}
		return fmt.Errorf("%s: %w (%s); ask for it again to switch to it all the same, or remove %s to drop it", l.Target,
			ErrReverted, sh.revertedWhy(), l.Work)
	case StillMounted:
		return fmt.Errorf("%s: %w and would hide the desktop; unmount it, or choose a directory within that file system",
			l.Target, ErrStillMounted)
	case NoExchange:
		return fmt.Errorf("%s: %w, so the old desktop cannot be kept while the new one takes its place; "+
			"move the old one away first", l.Target, ErrNoExchange)
	case NotSwitched:
		return fmt.Errorf("%s: %w; it is %s", l.Target, ErrNotSwitched, sh.facts.Stage())
	case IsSwitched:
		return fmt.Errorf("%s: %w: pivot again to clear what is left beside it", l.Target, ErrSwitched)
	case NothingToKeep:
		return fmt.Errorf("%s: %w, so there is nothing to go back to", l.Target, ErrNoOld)
	default:
		return fmt.Errorf("%s: %w; %s", l.Target, ErrUnclear, adviceUnclear(l))
	}
}

func adviceUnclear(l Layout) string {
	return fmt.Sprintf("they have been moved or copied by somebody: if %s is the whole desktop, take from %s what is needed and remove it; "+
		"if not, make sure that the desktop lies at %s, remove %s and stream again", l.Target, l.Work, l.Backing, l.Mark)
}

func (sh *shell) revertedWhy() string {
	if sh.mark == nil || sh.mark.Reverted == "" {
		return "no reason is known"
	}
	return sh.mark.Reverted
}

// remedy says what a person can do about an error of the system, with a space before it.
func remedy(l Layout, err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return " (make space on the file system of " + l.Work + " and run again)"
	case errors.Is(err, syscall.EXDEV):
		return " (" + l.Target + " and " + l.Work + " must lie on one file system)"
	case errors.Is(err, syscall.EROFS):
		return " (the file system is read-only, perhaps after a disk error: look at the system log)"
	case errors.Is(err, fs.ErrPermission):
		return " (this user may not: run as the owner of " + l.Work + " or as an administrator)"
	default:
		return ""
	}
}
