package pivot

// Content is what a directory's name holds.
type Content uint8

// What a name can hold.
const (
	Missing Content = iota // no such name
	Empty                  // a directory without entries
	Full                   // a directory with entries
	Hidden                 // a mount lies over it and it cannot be looked at
)

// Place is where the directory is that the mark names.
type Place uint8

// Where the new desktop's directory can be.
const (
	Nowhere   Place = iota // there is no mark, or none of the names holds the directory
	AtBacking              // not switched
	AtTarget               // switched
)

// Facts are what the disk says. They alone decide how a pivot goes on.
type Facts struct {
	Work     bool    // the work directory exists
	Mounted  bool    // something is mounted at TARGET
	Dead     bool    // it is a mount whose server has died
	Stacked  bool    // beneath it is another mount
	Mark     bool    // there is a mark
	Keep     bool    // the mark says that the old tree is a desktop, to be kept
	Reverted bool    // the mark says that the old desktop is wanted back
	New      Place   // where the directory is that the mark names
	Target   Content // beneath the mount, if there is one
	Backing  Content
	Old      Content
	Waste    bool // a retired work directory waits to be removed
}

// Stage is how far a pivot is, as the disk tells it.
type Stage uint8

// The stages. STATES.md says for each what lies on the disk.
const (
	Nothing   Stage = iota // no work directory: TARGET is native, or nothing was ever streamed to it
	Streaming              // the backing directory is being filled
	Ready                  // verified and marked; not switched
	Switched               // TARGET is the new desktop; waste is left
	Proving                // TARGET is the new desktop; the old one, or what was found at TARGET, is kept
	Reverting              // the old desktop is wanted back; not done yet
	Reverted               // the old desktop is back at TARGET; the new one waits in the backing directory
	Unclear                // the disk does not fit any of these: somebody moved or copied directories
)

var stageNames = [...]string{"nothing", "streaming", "ready", "switched", "proving", "reverting", "reverted", "unclear"}

func (s Stage) String() string { return stageNames[s] }

// Native reports whether TARGET is the new desktop.
func (s Stage) Native() bool { return s == Switched || s == Proving || s == Reverting }

// Stage is a pure function of the facts.
func (f Facts) Stage() Stage {
	switch {
	case !f.Work:
		return Nothing
	case !f.Mark:
		return Streaming
	case f.New == AtTarget && f.Reverted:
		return Reverting
	case f.New == AtTarget && (f.Old == Full || f.Backing == Full):
		return Proving
	case f.New == AtTarget:
		return Switched
	case f.New == AtBacking && f.Reverted:
		return Reverted
	case f.New == AtBacking:
		return Ready
	case f.staleMark():
		return Streaming
	default:
		return Unclear
	}
}

// staleMark reports whether a mark that names no directory is only left over from an earlier backing directory: the
// switch has not happened for sure, since TARGET has nothing and the backing directory does.
func (f Facts) staleMark() bool {
	return f.Backing == Full && (f.Target == Empty || f.Target == Missing)
}
