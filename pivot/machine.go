package pivot

// Step is where a running pivot stands.
type Step uint8

// The steps, in the order of a pivot in which nothing goes wrong.
const (
	Start        Step = iota
	Looking           // reads the facts
	Sweeping          // removes a retired work directory
	Detaching         // takes a dead mount away
	Flushing          // syncs while everybody still works, so that the quiet time is short
	Waiting           // looks for programs in the mount, nobody is held back
	Pausing           // found some
	Quiescing         // begins to hold writers back
	Checking          // looks again, now that nobody can come
	Verifying         // is everything native?
	Syncing           // is everything on the disk?
	Marking           // names the new desktop's directory in the mark
	Unmounting        // takes the mount away
	Peeking           // reads the facts once more
	Switching         // the one rename: exchange of backing and TARGET
	Replacing         // the same where the file system has no exchange: over the empty TARGET
	Placing           // the same where nothing is at TARGET
	Confirming        // reads the facts: is the new desktop at TARGET?
	SettingAside      // gives what was at TARGET the name old
	Dropping          // removes it, if it was only the empty mount point
	Retiring          // renames the work directory: the end
	Recalling         // going back: gives old the name backing again
	Returning         // going back: the one rename
	Releasing         // lets writers go on; then Waiting or Failed
	Finished          // terminal: TARGET is native and nothing of Looming is left beside it
	Kept              // terminal: TARGET is native and the old tree is kept
	Returned          // terminal: the old desktop is back
	Failed            // terminal: State.Reason says why
)

var stepNames = [...]string{
	"start", "looking", "sweeping", "detaching", "flushing", "waiting", "pausing", "quiescing", "checking", "verifying",
	"syncing", "marking", "unmounting", "peeking", "switching", "replacing", "placing", "confirming", "setting aside",
	"dropping", "retiring", "recalling", "returning", "releasing", "finished", "kept", "returned", "failed",
}

func (s Step) String() string { return stepNames[s] }

// Terminal reports whether nothing follows.
func (s Step) Terminal() bool { return s >= Finished }

// renames reports whether a step is a switch, for which a file system may lack the means.
func (s Step) renames() bool {
	return s == Switching || s == Replacing || s == Placing || s == Returning
}

// Goal is what a machine was started for.
type Goal uint8

// The goals.
const (
	Forward Goal = iota // TARGET becomes the new desktop (Run)
	Settle              // the new desktop has proven itself, the old one goes (Accept)
	Back                // the old desktop comes back (Revert)
	Drop                // what was streamed is given up (Forget)
)

// Reason says why a machine failed.
type Reason uint8

// The reasons.
const (
	ActionFailed  Reason = iota // the last action's error says it
	NotEmpty                    // TARGET holds something, and Replace was not given
	NotClear                    // Facts.Stage is Unclear, or what should have happened did not
	NoBacking                   // there is nothing that could become TARGET
	WasReverted                 // the new desktop was sent back, and Again was not given
	StillMounted                // something else is mounted at TARGET
	NoExchange                  // the old desktop cannot be kept, since this file system has no exchange
	NotSwitched                 // Accept or Revert before the pivot
	NothingToKeep               // Revert, but there is no old desktop
	IsSwitched                  // Forget, but the target is the new desktop
)

// State is all that a machine remembers. It is comparable.
type State struct {
	Step    Step
	Goal    Goal
	Replace bool // TARGET may hold an old desktop, to be kept
	Again   bool // go forward although the new desktop was reverted
	Quiet   bool // writers are held back
	Then    Step // after Releasing
	Reason  Reason
	Target  Content // as Peeking found it
}

// EventKind is what came of an action.
type EventKind uint8

// The events.
const (
	Began       EventKind = iota // the first, for Start
	Done                         // the action succeeded; for Look, Event.Facts are set
	Busy                         // FindHolders found some, or Unmount met some
	Unsupported                  // the file system cannot do it and nothing has changed
	Error                        // the action failed
)

// Event is the outcome of the last action.
type Event struct {
	Kind  EventKind
	Facts Facts // after Look
}

// Action is what the shell is to do next. Its outcome is the next event.
type Action uint8

// The actions. Those that change names are durable when they succeed.
const (
	None        Action = iota // the step is terminal
	Look                      // read the facts
	Sweep                     // remove the retired work directory
	Detach                    // unmount a dead mount
	Sync                      // sync the file system of the backing directory
	FindHolders               // who uses the mount? Done: nobody
	Pause                     // wait a little
	Quiesce                   // hold writers back
	Resume                    // let them go on
	Verify                    // check the backing directory
	WriteMark                 // name the backing directory, or want the old one back if the goal is Back
	Unmount                   // take the mount away
	Exchange                  // swap backing and TARGET
	RenameOver                // rename backing over the empty TARGET
	RenameTo                  // rename backing to TARGET, which is free
	SetAside                  // rename backing to old
	RemoveOld                 // remove the empty directory backing
	Retire                    // rename the work directory to waste
	RecallOld                 // rename old to backing
)

var actionNames = [...]string{
	"none", "look", "sweep", "detach", "sync", "find holders", "pause", "quiesce", "resume", "verify", "write mark",
	"unmount", "exchange", "rename over", "rename to", "set aside", "remove old", "retire", "recall old",
}

func (a Action) String() string { return actionNames[a] }

// Machine says what follows from an event in a state. The diagram is in STATES.md.
func Machine(s State, e Event) (State, Action) {
	if s.Step != Releasing && (e.Kind == Error || e.Kind == Unsupported && !s.Step.renames()) {
		return s.fail(ActionFailed)
	}
	switch s.Step {
	case Start, Sweeping, Detaching, Retiring:
		return s.to(Looking, Look)
	case Looking:
		return s.looked(e.Facts)
	case Flushing, Pausing:
		return s.to(Waiting, FindHolders)
	case Waiting:
		if e.Kind == Busy {
			return s.to(Pausing, Pause)
		}
		return s.to(Quiescing, Quiesce)
	case Quiescing:
		s.Quiet = true
		return s.to(Checking, FindHolders)
	case Checking:
		if e.Kind == Busy {
			return s.release(Pausing)
		}
		return s.to(Verifying, Verify)
	case Releasing:
		return s.released()
	case Verifying:
		return s.to(Syncing, Sync)
	case Syncing:
		return s.to(Marking, WriteMark)
	case Marking:
		return s.marked()
	case Unmounting:
		return s.unmounted(e)
	default:
		return s.renaming(e)
	}
}

// renaming is Machine for the steps in which names move.
func (s State) renaming(e Event) (State, Action) {
	switch s.Step {
	case Peeking:
		return s.peeked(e.Facts)
	case Switching:
		if e.Kind == Unsupported {
			return s.withoutExchange()
		}
		return s.to(Confirming, Look)
	case SettingAside, Dropping:
		return s.to(Confirming, Look)
	case Replacing, Placing, Returning:
		if e.Kind == Unsupported {
			return s.fail(NoExchange)
		}
		return s.to(Confirming, Look)
	case Confirming:
		return s.confirmed(e.Facts)
	case Recalling:
		return s.to(Returning, Exchange)
	default:
		return s, None
	}
}

func (s State) to(step Step, a Action) (State, Action) {
	s.Step = step
	return s, a
}

// release lets writers go on before the machine goes to a step where they may.
func (s State) release(then Step) (State, Action) {
	s.Then = then
	return s.to(Releasing, Resume)
}

func (s State) released() (State, Action) {
	s.Quiet = false
	if s.Then == Pausing {
		return s.to(Pausing, Pause)
	}
	return s.to(s.Then, None)
}

func (s State) fail(why Reason) (State, Action) {
	s.Reason = why
	if s.Quiet {
		return s.release(Failed)
	}
	return s.to(Failed, None)
}

// looked chooses the way by the facts.
func (s State) looked(f Facts) (State, Action) {
	switch {
	case f.Waste:
		return s.to(Sweeping, Sweep)
	case f.Stage() == Unclear:
		return s.fail(NotClear)
	case s.Goal == Settle:
		return s.settle(f)
	case s.Goal == Back:
		return s.back(f)
	case s.Goal == Drop:
		return s.drop(f)
	default:
		return s.forward(f)
	}
}

func (s State) forward(f Facts) (State, Action) {
	switch f.Stage() {
	case Nothing:
		return s.to(Finished, None)
	case Switched, Proving:
		return s.tidy(f)
	case Reverting:
		return s.fail(WasReverted)
	case Reverted:
		if !s.Again {
			return s.fail(WasReverted)
		}
	}
	return s.approach(f)
}

// approach starts on the way to the switch, which has not happened.
func (s State) approach(f Facts) (State, Action) {
	switch {
	case f.Backing == Missing:
		return s.fail(NoBacking)
	case f.Dead:
		return s.to(Detaching, Detach)
	case f.Stacked:
		return s.fail(StillMounted)
	case f.Target == Full && !s.Replace:
		return s.fail(NotEmpty)
	case f.Mounted:
		return s.to(Flushing, Sync)
	default:
		return s.to(Verifying, Verify)
	}
}

// marked goes on from the mark: Quiet tells whether there was a mount to be quiet.
func (s State) marked() (State, Action) {
	switch {
	case s.Goal == Back:
		return s.to(Peeking, Look)
	case s.Quiet:
		return s.to(Unmounting, Unmount)
	default:
		return s.to(Peeking, Look)
	}
}

func (s State) unmounted(e Event) (State, Action) {
	if e.Kind == Busy {
		return s.release(Pausing)
	}
	s.Quiet = false // nobody is left to be held back
	return s.to(Peeking, Look)
}

// peeked is the last look before the rename.
func (s State) peeked(f Facts) (State, Action) {
	s.Target = f.Target
	switch {
	case f.Mounted:
		return s.fail(StillMounted)
	case s.Goal == Back && f.New == AtTarget && f.Old == Full:
		return s.to(Recalling, RecallOld)
	case s.Goal == Back && f.New == AtTarget && f.Backing == Full:
		return s.to(Returning, Exchange)
	case s.Goal == Back || f.New != AtBacking:
		return s.fail(NotClear)
	case f.Target == Full && !s.Replace:
		return s.fail(NotEmpty)
	case f.Target == Missing:
		return s.to(Placing, RenameTo)
	default:
		return s.to(Switching, Exchange)
	}
}

// withoutExchange renames over the empty directory, which is as atomic, but has no place for an old desktop.
func (s State) withoutExchange() (State, Action) {
	if s.Target != Empty {
		return s.fail(NoExchange)
	}
	return s.to(Replacing, RenameOver)
}

// confirmed believes the disk, not the rename.
func (s State) confirmed(f Facts) (State, Action) {
	stage := f.Stage()
	switch {
	case s.Goal == Back && stage == Reverted:
		return s.to(Returned, None)
	case s.Goal == Forward && (stage == Switched || stage == Proving):
		return s.tidy(f)
	default:
		return s.fail(NotClear)
	}
}

// tidy clears what the switch has left. Nothing that has content is removed here.
func (s State) tidy(f Facts) (State, Action) {
	switch {
	case f.Backing == Empty:
		return s.to(Dropping, RemoveOld)
	case f.Backing == Full:
		return s.to(SettingAside, SetAside)
	case f.Old == Full:
		return s.to(Kept, None)
	default:
		return s.to(Retiring, Retire)
	}
}

func (s State) settle(f Facts) (State, Action) {
	switch f.Stage() {
	case Nothing:
		return s.to(Finished, None)
	case Switched, Proving:
		return s.to(Retiring, Retire)
	default:
		return s.fail(NotSwitched)
	}
}

func (s State) back(f Facts) (State, Action) {
	switch f.Stage() {
	case Reverted:
		return s.to(Returned, None)
	case Proving, Reverting:
		if !f.Keep {
			return s.fail(NothingToKeep)
		}
		if f.Mounted {
			return s.fail(StillMounted)
		}
		return s.to(Marking, WriteMark)
	case Switched, Nothing:
		return s.fail(NothingToKeep)
	default:
		return s.fail(NotSwitched)
	}
}

// drop retires a work directory whose backing directory is nobody's desktop.
func (s State) drop(f Facts) (State, Action) {
	switch {
	case f.Stage() == Nothing:
		return s.to(Finished, None)
	case f.Stage().Native():
		return s.fail(IsSwitched)
	case f.Dead:
		return s.to(Detaching, Detach)
	case f.Mounted:
		return s.fail(StillMounted)
	default:
		return s.to(Retiring, Retire)
	}
}
