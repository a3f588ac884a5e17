package pivot

import (
	"fmt"
	"testing"
)

// tree is what a name holds on the simulated disk.
type tree uint8

const (
	none   tree = iota
	empty       // the mount point
	oldOne      // the old desktop
	newOne      // the new desktop
	gap         // what a program wrote to the empty mount point in the moment it was to be seen
)

func (t tree) content() Content {
	switch t {
	case none:
		return Missing
	case empty:
		return Empty
	default:
		return Full
	}
}

type mount uint8

const (
	noMount mount = iota
	alive
	dead
)

// simDisk is a disk on which each action is one change of names, and what surrounds it.
type simDisk struct {
	target, backing, old  tree
	work, waste           bool
	mark, keep, reverted  bool
	mount                 mount
	blind                 bool // what a mount hides cannot be looked at
	noExchange            bool // the file system has none
	quiet, clean, flushed bool // writers are held; verified and synced since they were
	hadOld, hadGap        bool // what must not be lost
	accepted              bool // unless somebody said so
	dropped               bool // somebody gave the new one up
	startedWithout        bool // TARGET was missing at the start
}

func (d simDisk) facts() Facts {
	f := Facts{Work: d.work, Waste: d.waste, Mounted: d.mount != noMount, Dead: d.mount == dead}
	if !d.work {
		return f
	}
	f.Target, f.Backing, f.Old = d.target.content(), d.backing.content(), d.old.content()
	hidden := f.Mounted && d.blind
	if hidden {
		f.Target = Hidden
	}
	f.Mark, f.Keep, f.Reverted = d.mark, d.mark && d.keep, d.mark && d.reverted
	switch {
	case d.mark && d.backing == newOne:
		f.New = AtBacking
	case d.mark && d.target == newOne && !hidden:
		f.New = AtTarget
	}
	return f
}

// apply is what an action does when it succeeds.
func (d simDisk) apply(a Action, goal Goal, replace bool) simDisk {
	switch a {
	case Sweep:
		d.waste = false
	case Detach, Unmount:
		d.mount, d.quiet = noMount, false
	case Quiesce:
		d.quiet = true
	case Resume:
		d.quiet, d.clean, d.flushed = false, false, false
	case Verify:
		d.clean = true
	case Sync:
		d.flushed = true
	case WriteMark:
		d.reverted = goal == Back
		if goal == Forward {
			d.mark, d.keep = true, replace && d.facts().Target != Empty
		}
	case Exchange:
		d.backing, d.target = d.target, d.backing
	case RenameOver, RenameTo:
		d.backing, d.target = none, d.backing
	case SetAside:
		d.backing, d.old = none, d.backing
	case RecallOld:
		d.backing, d.old = d.old, none
	case RemoveOld:
		d.backing = none
	case Retire:
		d.accepted, d.dropped = d.accepted || goal == Settle, d.dropped || goal == Drop
		d.waste, d.work, d.mark, d.keep, d.reverted, d.backing, d.old = true, false, false, false, false, none, none
	}
	return d
}

// impossible says which errors the system would give, and what a shell may never be told to do.
func (d simDisk) impossible(t *testing.T, a Action, goal Goal) (EventKind, bool) {
	switch a {
	case Exchange:
		if d.noExchange {
			return Unsupported, true
		}
		if goal == Forward && (!d.clean || !d.flushed) {
			t.Errorf("switched to what is not verified and synced: %+v", d)
		}
		if d.mount != noMount {
			t.Errorf("switched beneath a mount: %+v", d)
		}
		return Error, d.target == none || d.backing == none
	case RenameOver, RenameTo:
		if !d.clean || !d.flushed {
			t.Errorf("switched to what is not verified and synced: %+v", d)
		}
		return Error, d.mount != noMount || d.backing == none || d.target != none && (a == RenameTo || d.target != empty)
	case RemoveOld:
		return Error, d.backing != empty
	case SetAside:
		return Error, d.backing == none || d.old != none && d.old != empty
	case Retire:
		return Error, d.waste || !d.work
	}
	return Done, false
}

// holds checks what must hold on the disk at every instant (invariant 6).
func (d simDisk) holds() error {
	count := func(x tree) (n int) {
		for _, at := range []tree{d.target, d.backing, d.old} {
			if at == x {
				n++
			}
		}
		return n
	}
	switch {
	case d.dropped && d.target == newOne:
		return fmt.Errorf("a desktop was given up that is at TARGET")
	case count(newOne) != 1 && !d.dropped:
		return fmt.Errorf("the new desktop exists %d times", count(newOne))
	case d.hadOld && !d.accepted && count(oldOne) != 1:
		return fmt.Errorf("the old desktop exists %d times and nobody accepted the new one", count(oldOne))
	case d.hadGap && !d.accepted && count(gap) != 1:
		return fmt.Errorf("what a program wrote is lost")
	case d.target == none && !d.startedWithout:
		return fmt.Errorf("TARGET is missing")
	case d.quiet && d.mount != alive:
		return fmt.Errorf("writers are held back where no mount is")
	}
	return nil
}

// node is a moment in the life of a target: a machine that is about to do an action on a disk.
type node struct {
	state  State
	action Action
	disk   simDisk
}

// explorer visits every node that can be reached.
type explorer struct {
	t     *testing.T
	seen  map[node]bool
	queue []node
	disks map[simDisk]bool // that a process could find when it starts
}

func (x *explorer) visit(n node) {
	if x.seen[n] {
		return
	}
	x.seen[n] = true
	x.queue = append(x.queue, n)
	if err := n.disk.holds(); err != nil {
		x.t.Fatalf("%v\n%+v", err, n)
	}
}

// boot starts every kind of machine on a disk that a crash, or the end of a process, has left.
func (x *explorer) boot(d simDisk) {
	d.quiet, d.clean, d.flushed = false, false, false
	if x.disks[d] {
		return
	}
	x.disks[d] = true
	for _, s := range []State{
		{Goal: Forward},
		{Goal: Forward, Replace: true},
		{Goal: Forward, Again: true},
		{Goal: Forward, Replace: true, Again: true},
		{Goal: Settle},
		{Goal: Back},
		{Goal: Drop},
	} {
		next, a := Machine(s, Event{Kind: Began})
		x.visit(node{next, a, d})
	}
	if d.mount == noMount && d.work && d.backing == newOne {
		d.mount = alive // streaming goes on
		x.boot(d)
	}
}

// crash leaves the disk to a kill (a mount stays, dead) and to a power cut (no mount).
func (x *explorer) crash(d simDisk) {
	cut, killed := d, d
	cut.mount = noMount
	if killed.mount == alive {
		killed.mount = dead
	}
	x.boot(cut)
	x.boot(killed)
}

func (x *explorer) event(n node, d simDisk, kind EventKind) {
	e := Event{Kind: kind}
	if n.action == Look && kind == Done {
		e.Facts = d.facts()
	}
	s, a := Machine(n.state, e)
	x.visit(node{s, a, d})
}

// step takes every outcome that an action can have.
func (x *explorer) step(n node) {
	if n.state.Step.Terminal() {
		x.terminal(n)
		return
	}
	d := n.disk
	x.crash(d)
	if n.action == Resume {
		x.event(n, d.apply(Resume, n.state.Goal, false), Done) // it has no way to fail
		return
	}
	x.event(n, d, Error)
	x.event(n, d, Unsupported) // whoever says so has done nothing
	if kind, bad := d.impossible(x.t, n.action, n.state.Goal); bad {
		x.event(n, d, kind)
		return
	}
	after := d.apply(n.action, n.state.Goal, n.state.Replace)
	x.crash(after) // done and kept, though not synced; that it was dropped is the crash before
	if n.action != Quiesce {
		x.event(n, after, Error) // done, and the sync of the directory failed
	}
	x.event(n, after, Done)
	if n.action == FindHolders || n.action == Unmount {
		x.event(n, d, Busy)
	}
	if n.state.Step == Peeking && d.mount == noMount {
		again := d
		again.mount = alive // somebody has mounted there
		x.event(n, again, Done)
	}
	if n.state.Step == Peeking && d.mount == noMount && d.target == empty {
		d.target, d.hadGap = gap, true // just before the look; and just after it:
		x.event(n, d, Done)
		s, a := Machine(n.state, Event{Kind: Done, Facts: n.disk.facts()})
		x.visit(node{s, a, d})
	}
}

func (x *explorer) terminal(n node) {
	d, s := n.disk, n.state
	x.boot(d)
	bad := ""
	switch {
	case d.quiet:
		bad = "writers are held back for ever"
	case s.Step == Finished && (d.target != newOne && !d.dropped || d.work || d.waste):
		bad = "finished, but something is left"
	case s.Step == Kept && (d.target != newOne || d.old != oldOne && d.old != gap):
		bad = "nothing is kept"
	case s.Step == Returned && (d.target != oldOne && d.target != gap || d.backing != newOne):
		bad = "the old desktop is not back"
	}
	if bad != "" {
		x.t.Fatalf("%s: %+v", bad, n)
	}
}

// undisturbed runs a machine to its end without a fault.
func undisturbed(t *testing.T, s State, d simDisk) (State, simDisk) {
	t.Helper()
	s, a := Machine(s, Event{Kind: Began})
	for range 60 {
		if s.Step.Terminal() {
			return s, d
		}
		kind, bad := d.impossible(t, a, s.Goal)
		if !bad {
			kind, d = Done, d.apply(a, s.Goal, s.Replace)
		}
		e := Event{Kind: kind}
		if a == Look {
			e.Facts = d.facts()
		}
		s, a = Machine(s, e)
	}
	t.Fatalf("no end after 60 actions: %+v %+v", s, d)
	return s, d
}

func startDisks() (list []simDisk) {
	for _, target := range []tree{none, empty, oldOne} {
		for _, blind := range []bool{false, true} {
			for _, noExchange := range []bool{false, true} {
				list = append(list, simDisk{
					target: target, backing: newOne, work: true, blind: blind, noExchange: noExchange,
					hadOld: target == oldOne, startedWithout: target == none,
				})
			}
		}
	}
	return list
}

func explore(t *testing.T) *explorer {
	x := &explorer{t: t, seen: map[node]bool{}, disks: map[simDisk]bool{}}
	for _, d := range startDisks() {
		x.boot(d)
	}
	for len(x.queue) > 0 {
		n := x.queue[0]
		x.queue = x.queue[1:]
		x.step(n)
	}
	return x
}

// Every outcome of every action, every crash, every restart, in every order: at each instant TARGET is the old desktop or
// the new one, nothing that anybody has written is lost, nothing unverified is switched to, and nobody is held back for
// ever (invariant 6).
func TestEveryLife(t *testing.T) {
	x := explore(t)
	ends := map[Step]int{}
	steps := map[Step]bool{}
	for n := range x.seen {
		steps[n.state.Step] = true
		if n.state.Step.Terminal() {
			ends[n.state.Step]++
		}
	}
	t.Logf("%d moments, %d disks, ends: %v", len(x.seen), len(x.disks), ends)
	for s := Looking; s <= Failed; s++ {
		if !steps[s] {
			t.Errorf("step %v was never reached: the exploration is not whole", s)
		}
	}
}

// From every disk that can be found after a crash, one undisturbed run comes to the end that was asked for.
func TestEveryDiskConverges(t *testing.T) {
	for d := range explore(t).disks {
		checkDrop(t, d)
		if !d.dropped {
			checkForward(t, d)
			checkSettleAndBack(t, d)
		}
	}
}

// checkDrop: what is not the desktop yet can be given up, and TARGET stays as it is.
func checkDrop(t *testing.T, d simDisk) {
	t.Helper()
	stage := d.facts().Stage()
	s, after := undisturbed(t, State{Goal: Drop}, d)
	can := !stage.Native() && stage != Unclear && (stage == Nothing || d.mount != alive)
	if done := s.Step == Finished && !after.work; done != can || after.target != d.target {
		t.Errorf("forget at %v: %v, reason %d\n%+v\n%+v", stage, s.Step, s.Reason, d, after)
	}
}

func checkForward(t *testing.T, d simDisk) {
	t.Helper()
	stage := d.facts().Stage()
	s, after := undisturbed(t, State{Replace: true, Again: true}, d)
	switch {
	case s.Step == Finished || s.Step == Kept:
	case s.Reason == WasReverted && stage == Reverting:
	case s.Reason == NoExchange && d.noExchange && (d.target == oldOne || d.target == gap):
	case s.Reason == NotClear && stage == Unclear && d.mount != noMount && d.blind:
	default:
		t.Errorf("forward with everything allowed: %v, reason %d\n%+v\n%+v", s.Step, s.Reason, d, after)
	}
	if s, _ := undisturbed(t, State{Replace: true}, d); d.mark && d.reverted && s.Step != Failed {
		t.Errorf("what was reverted is switched to unasked: %+v", d)
	}
	s, after = undisturbed(t, State{}, d)
	if s.Step == Failed && after.target != d.target {
		t.Errorf("refused, and yet TARGET has changed: %+v\n%+v", d, after)
	}
	if d.target == oldOne && stage != Nothing && s.Step != Failed {
		t.Errorf("an old desktop was replaced unasked: %+v", d)
	}
}

func checkSettleAndBack(t *testing.T, d simDisk) {
	t.Helper()
	stage := d.facts().Stage()
	s, after := undisturbed(t, State{Goal: Settle}, d)
	if settled := s.Step == Finished && after.target == newOne && !after.work; settled != (stage <= Nothing || stage == Switched || stage == Proving) {
		t.Errorf("accept at %v: %+v, reason %d", stage, s, s.Reason)
	}
	s, after = undisturbed(t, State{Goal: Back}, d)
	back := s.Step == Returned && after.target == oldOne
	if want := d.hadOld && (stage == Proving && d.keep || stage == Reverting || stage == Reverted); back != want && !d.noExchange &&
		d.mount == noMount {
		t.Errorf("revert at %v: %v, reason %d\n%+v", stage, s.Step, s.Reason, d)
	}
}

// Stage must be a function that answers for every combination of facts, and claims a switch only with proof.
func TestStageOfAllFacts(t *testing.T) {
	for bits := range 1 << 7 {
		bit := func(i int) bool { return bits>>i&1 == 1 }
		for place := Nowhere; place <= AtTarget; place++ {
			for c := range 4 * 4 * 4 {
				f := Facts{
					Work: bit(0), Mounted: bit(1), Dead: bit(2), Mark: bit(3), Keep: bit(4), Reverted: bit(5), Waste: bit(6),
					New: place, Target: Content(c & 3), Backing: Content(c >> 2 & 3), Old: Content(c >> 4 & 3),
				}
				stage := f.Stage()
				if stage.Native() != (f.Work && f.Mark && f.New == AtTarget) {
					t.Fatalf("%v claims a switch without proof, or none in spite of it: %+v", stage, f)
				}
				if stage == Proving && f.Old != Full && f.Backing != Full {
					t.Fatalf("proving without anything that is kept: %+v", f)
				}
			}
		}
	}
}
