package pivot

import (
	"fmt"
	"strings"
)

// Use is how a holder holds the mount.
type Use uint8

// The uses.
const (
	HasOpen  Use = iota // a file or directory is open
	WorksIn             // its working directory
	RootedIn            // its root directory, as in a chroot
	Runs                // its program
	Maps                // a file in its memory
	MountsAt            // a mount point beneath
	Loop                // a loop device's file
	Swap                // a swap file
	Unseen              // the kernel says busy and nobody is to be seen
)

// Holder is what keeps the mount from going.
type Holder struct {
	PID  int    // 0 if it is not a process
	Name string // of the process, or the device
	Use  Use
	Path string
}

// String says it so that "waiting for" can stand before it.
func (h Holder) String() string {
	who := fmt.Sprintf("%s (PID %d), which ", h.Name, h.PID)
	switch h.Use {
	case HasOpen:
		return who + "has " + h.Path + " open"
	case WorksIn:
		return who + "works in " + h.Path
	case RootedIn:
		return who + "has its root directory at " + h.Path
	case Runs:
		return who + "runs " + h.Path
	case Maps:
		return who + "has " + h.Path + " in memory"
	case MountsAt:
		return h.Path + ", which is mounted there: umount " + h.Path
	case Loop:
		return h.Name + ", a loop device on " + h.Path + ": losetup -d " + h.Name
	case Swap:
		return h.Path + ", which is swapped to: swapoff " + h.Path
	default:
		return "something that uses " + h.Path + " and cannot be seen from here (a program that is just opening a file, " +
			"another user's, an exported directory); an administrator can look with: fuser -vm " + h.Path
	}
}

// Progress is what Run says of itself.
type Progress struct {
	Step    Step
	Target  string
	Holders []Holder // while Pausing
	Note    string   // what a person may want to know beside the step
}

const namedHolders = 4

// String is one line, without a full stop.
func (p Progress) String() string {
	switch {
	case len(p.Holders) > 0:
		return "waiting for " + listHolders(p.Holders)
	case p.Note != "":
		return p.Target + " " + p.Note
	default:
		return p.Target + ": " + p.Step.String()
	}
}

func listHolders(all []Holder) string {
	var named []string
	for _, h := range all[:min(len(all), namedHolders)] {
		named = append(named, h.String())
	}
	s := strings.Join(named, "; and for ")
	if more := len(all) - len(named); more > 0 {
		s += fmt.Sprintf("; and for %d more", more)
	}
	return s
}

// Reporter hears how a pivot goes on. It must not block for long.
type Reporter interface {
	Report(Progress)
}
