package pivot

import "fmt"

// Recovery is how a pivot stands, and what to do.
type Recovery struct {
	Layout Layout
	Facts  Facts
	Stage  Stage
	Why    string // if the new desktop was sent back: why
	Last   Note   // the journal's last line, the zero Note if there is none
}

// Recover tells how the pivot of a target stands, after a crash or at any other time. It changes nothing.
func Recover(target string) (Recovery, error) {
	l, err := For(target)
	if err != nil {
		return Recovery{}, err
	}
	f, m, err := look(l)
	if err != nil {
		return Recovery{Layout: l}, err
	}
	r := Recovery{Layout: l, Facts: f, Stage: f.Stage()}
	if m != nil {
		r.Why = m.Reverted
	}
	r.Last, _ = lastNote(l.Journal)
	return r, nil
}

// Advice says what to do next, in one line.
func (r Recovery) Advice() string {
	l := r.Layout
	switch r.Stage {
	case Nothing:
		return "nothing is to be done"
	case Streaming:
		return fmt.Sprintf("mount %s at %s again and go on streaming", l.Backing, l.Target)
	case Ready:
		return "the desktop is complete: pivot again, no mount is needed"
	case Switched:
		return l.Target + " is the desktop: pivot again to clear what is left in " + l.Work
	case Proving:
		return fmt.Sprintf("%s is the desktop: accept it to remove what was there before, or revert", l.Target)
	case Reverting:
		return "the old desktop is wanted back: revert again"
	case Reverted:
		return fmt.Sprintf("the old desktop is at %s, because: %s", l.Target, r.Why)
	default:
		return adviceUnclear(l)
	}
}
