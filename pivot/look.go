package pivot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// look reads the facts.
func look(l Layout) (Facts, *mark, error) {
	f, m, err := readFacts(l)
	if err != nil {
		return f, m, fmt.Errorf("look at what is in %s: %w", l.Work, err)
	}
	return f, m, nil
}

func readFacts(l Layout) (f Facts, m *mark, err error) {
	if f.Work, err = exists(l.Work); err != nil {
		return f, nil, err
	}
	if f.Waste, err = exists(l.Waste); err != nil {
		return f, nil, err
	}
	if err = lookAtTarget(l, &f); err != nil || !f.Work {
		return f, nil, err
	}
	if m, err = readMark(l.Mark); err != nil {
		return f, nil, err
	}
	if f.Backing, err = content(l.Backing); err != nil {
		return f, m, err
	}
	if f.Old, err = content(l.Old); err != nil {
		return f, m, err
	}
	return f, m, place(l, m, &f)
}

func lookAtTarget(l Layout, f *Facts) error {
	mounts, err := mountsAt(l.Target)
	if err != nil {
		return err
	}
	f.Mounted, f.Stacked = len(mounts) > 0, len(mounts) > 1
	if !f.Mounted {
		f.Target, err = content(l.Target)
		return err
	}
	f.Dead = isDead(l.Target)
	f.Target = contentBelow(l.Target)
	return nil
}

// place finds the directory that the mark names.
func place(l Layout, m *mark, f *Facts) error {
	if m == nil {
		return nil
	}
	f.Mark, f.Keep, f.Reverted = true, m.Keep, m.Reverted != ""
	if id, err := identify(l.Backing); err == nil && id == m.New {
		f.New = AtBacking
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Beneath a mount that hides the directory, TARGET cannot be the new desktop by our doing: a mount is taken away
	// before the switch.
	if id, err := identifyBelow(l.Target); err == nil && id == m.New {
		f.New = AtTarget
	} else if err != nil && !f.Mounted && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
