package pivot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/looming-project/looming/vfs/durable"
)

// Verifier says whether a backing directory can be a desktop.
type Verifier interface {
	// Verify fails, with an error that wraps ErrNotNative and names what it met, if in or below dir there is a
	// placeholder, a file that is not all here, a directory that is not listed, or anything of Looming's own (names,
	// extended attributes). It is called while writers are held back, or when nothing is mounted.
	Verify(ctx context.Context, dir string) error
}

// Quiescer holds writers of the virtual file system back.
type Quiescer interface {
	// Quiesce returns when no writer is at work and none can start: opening for writing, and everything that changes
	// names or attributes, waits. When it fails nobody is held back.
	Quiesce(ctx context.Context) error
	// Resume undoes Quiesce. It is called once for each Quiesce that succeeded, at the latest when Run returns, with the
	// mount gone if the switch came that far.
	Resume()
}

// Unmounter takes the virtual file system away.
type Unmounter interface {
	// Unmount unmounts it, not lazily. With a mount that programs use it fails, best with an error that wraps ErrBusy or
	// EBUSY, and everything is as before.
	Unmount(ctx context.Context) error
}

// HolderFinder finds out who uses a mount.
type HolderFinder interface {
	Holders(ctx context.Context, target string) ([]Holder, error)
}

// Syncer makes all that was written durable. A durable.FS that was opened before the first file was streamed also tells
// of every write error since.
type Syncer interface {
	Sync() error
}

// Options are for Run. Only Target and Verify are required.
type Options struct {
	Target  string
	Verify  Verifier
	Quiesce Quiescer     // nil: nobody is held back; for when nothing is mounted
	Unmount Unmounter    // nil: umount(2), or fusermount where that is not allowed
	Holders HolderFinder // nil: /proc on Linux; nobody on Windows
	Report  Reporter     // nil: nobody hears
	Sync    Syncer       // nil: the file system of the backing directory
	Replace bool         // Target may hold an old desktop, which is kept until Accept or Revert
	Again   bool         // switch to a desktop that Revert has sent back
}

// Result says how things stand when Run, Accept or Revert returns, with an error or without.
type Result struct {
	Stage     Stage
	Unmounted bool   // this call took the mount away; if Stage is not Native, mount again
	Old       string // where an old tree is kept, if one is
}

// Run pivots: when it returns nil, Target is the desktop, for good. It waits as long as programs use the mount, until
// ctx ends; writers are held back only while it verifies. When it fails before the switch everything is as it was,
// except that Result.Unmounted may be true. Run again after a crash goes on from what the disk says; if nothing is left
// to do it returns at once.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.Verify == nil {
		return Result{}, fmt.Errorf("pivot %s: Options.Verify is missing", o.Target)
	}
	return execute(ctx, o, State{Goal: Forward, Replace: o.Replace, Again: o.Again}, "")
}

// Accept says that the new desktop at target has proven itself: the old tree is removed, and Looming's work directory.
func Accept(ctx context.Context, target string, report Reporter) (Result, error) {
	return execute(ctx, Options{Target: target, Report: report}, State{Goal: Settle}, "")
}

// Revert brings the old desktop back to target, with one exchange of names; why is kept for Recover and Run to tell.
// The new desktop goes back to the backing directory, from where Run switches to it only when told so by Again.
// Programs that run in the new desktop keep what they have open.
func Revert(ctx context.Context, target, why string, report Reporter) (Result, error) {
	return execute(ctx, Options{Target: target, Report: report}, State{Goal: Back}, why)
}

// Forget gives up what is being streamed to target: Looming's work directory goes, with the backing directory and what
// its user has changed there. Target stays as it is without a mount; a mount that is alive is not taken away.
func Forget(ctx context.Context, target string, report Reporter) (Result, error) {
	return execute(ctx, Options{Target: target, Report: report}, State{Goal: Drop}, "")
}

// shell executes a machine.
type shell struct {
	Options
	layout    Layout
	why       string // for Revert
	facts     Facts  // as last looked at
	mark      *mark
	holders   []Holder
	held      bool // writers are held back
	unmounted bool
	cause     error // of the last failed action
	lock      *os.File
	noted     string // the last line that was reported
	pause     time.Duration
}

func execute(ctx context.Context, o Options, s State, why string) (Result, error) {
	l, err := For(o.Target)
	if err != nil {
		return Result{}, fmt.Errorf("pivot: %w", err)
	}
	sh := &shell{Options: o, layout: l, why: why, pause: shortestPause}
	if sh.Holders == nil {
		sh.Holders = defaultHolders()
	}
	if err := sh.takeLock(); err != nil {
		return Result{}, fmt.Errorf("pivot %s: %w", l.Target, err)
	}
	defer sh.dropLock()
	defer sh.letGo()
	s = sh.loop(ctx, s)
	return sh.result(s)
}

func (sh *shell) loop(ctx context.Context, s State) State {
	s, a := Machine(s, Event{Kind: Began})
	for !s.Step.Terminal() {
		sh.report(Progress{Step: s.Step})
		s, a = Machine(s, sh.do(ctx, s, a))
	}
	return s
}

// takeLock keeps two processes from pivoting one target. Without a work directory there is nothing to lock.
func (sh *shell) takeLock() (err error) {
	sh.lock, err = tryLock(sh.layout.Lock)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (sh *shell) dropLock() {
	if sh.lock != nil {
		_ = sh.lock.Close()
		sh.lock = nil
	}
}

// hold holds writers back, and letGo ends that.
func (sh *shell) hold(ctx context.Context) error {
	if sh.Quiesce == nil {
		return nil
	}
	err := sh.Quiesce.Quiesce(ctx)
	sh.held = err == nil
	return err
}

func (sh *shell) letGo() {
	if sh.held {
		sh.held = false
		sh.Quiesce.Resume()
	}
}

// result looks at the disk again, since the last action may have failed on its way.
func (sh *shell) result(s State) (Result, error) {
	r := Result{Unmounted: sh.unmounted}
	if f, m, err := look(sh.layout); err == nil {
		sh.facts, sh.mark = f, m
	}
	r.Stage = sh.facts.Stage()
	switch {
	case r.Stage.Native() && sh.facts.Old == Full:
		r.Old = sh.layout.Old
	case r.Stage.Native() && sh.facts.Backing == Full:
		r.Old = sh.layout.Backing
	}
	if s.Step == Failed {
		err := fmt.Errorf("pivot: %w", sh.reasonError(s.Reason))
		sh.report(Progress{Step: s.Step, Note: "is " + r.Stage.String() + ": " + err.Error()})
		return r, err
	}
	sh.report(Progress{Step: s.Step, Note: sh.ending(s, r)})
	return r, nil
}

func (sh *shell) ending(s State, r Result) string {
	switch {
	case s.Goal == Drop:
		return "is not streamed to any more; nothing of Looming is left beside it"
	case s.Step == Returned:
		return "is the old desktop again; the new one waits in " + sh.layout.Backing
	case s.Step == Kept && sh.facts.Keep:
		return "is the desktop now; the old one is kept in " + r.Old + " until it is accepted or reverted"
	case s.Step == Kept:
		return "is the desktop now; what somebody wrote to it while it was switched is kept in " + r.Old +
			"; take what is needed, then accept"
	default:
		return "is the desktop now; nothing of Looming is left beside it"
	}
}

// report tells what is new, to the reporter and the journal.
func (sh *shell) report(p Progress) {
	p.Target = sh.layout.Target
	text := p.String()
	if text == sh.noted {
		return
	}
	sh.noted = text
	if sh.facts.Work {
		// The journal is for people: that it cannot be written (a full disk) must not stop a pivot, and what matters
		// fails with its own error.
		_ = writeNote(sh.layout.Journal, Note{Time: time.Now(), Step: p.Step.String(), Text: text})
	}
	if sh.Report != nil {
		sh.Report.Report(p)
	}
}

// newWork makes the mark for what the machine is up to.
func (sh *shell) newWork(goal Goal) error {
	if goal == Back {
		m := *sh.mark
		m.Reverted = cmp.Or(sh.why, m.Reverted, "on request") // a second try keeps the first one's reason
		return writeMark(sh.layout.Mark, m)
	}
	m, err := newMark(sh.layout, sh.Replace && sh.facts.Target != Empty)
	if err != nil {
		return err
	}
	return writeMark(sh.layout.Mark, m)
}

// retire renames the work directory, which ends a pivot: what has its new name is waste.
func (sh *shell) retire() error {
	sh.dropLock() // it lies in the directory, and Windows does not rename one with an open file
	return durable.Rename(sh.layout.Work, sh.layout.Waste)
}

// sweep removes waste, but nothing that somebody has mounted there.
func (sh *shell) sweep() error {
	under, err := mountsUnder(sh.layout.Waste)
	if err != nil {
		return err
	}
	if len(under) > 0 {
		return fmt.Errorf("%s is mounted in the old tree that is to be removed; unmount it", under[0].path)
	}
	return durable.RemoveAll(sh.layout.Waste)
}
