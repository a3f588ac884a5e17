package pivot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/looming-project/looming/vfs/durable"
)

// identity names a directory wherever it is renamed to on its file system. The inode alone is not enough: the roots
// of btrfs subvolumes all have the same. The device number is left out because it changes from boot to boot.
type identity struct {
	Inode uint64 `json:"inode"`
	Born  int64  `json:"born"` // nanoseconds since 1970, 0 where the file system does not know
}

// mark is the file pivot.mark, JSON, one document. It is written before the switch and never after it, except to
// want the old desktop back.
type mark struct {
	Version  int      `json:"version"`
	New      identity `json:"new"`
	Keep     bool     `json:"keep"`               // TARGET may have held an old desktop
	Reverted string   `json:"reverted,omitempty"` // why the old desktop is wanted back
}

const markVersion = 1

// readMark returns nil when there is none.
func readMark(path string) (*mark, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var m mark
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w); if the desktop is whole, remove the file and stream again", path, err)
	}
	if m.Version != markVersion {
		return nil, fmt.Errorf("%s is of version %d, this program knows %d; use the program that wrote it", path, m.Version, markVersion)
	}
	return &m, nil
}

func writeMark(path string, m mark) error {
	m.Version = markVersion
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(data, '\n'), 0o600)
}

// newMark is the mark for a switch that is about to come.
func newMark(l Layout, keep bool) (mark, error) {
	id, err := identify(l.Backing)
	if err != nil {
		return mark{}, err
	}
	m := mark{New: id, Keep: keep}
	if other, err := identifyBelow(l.Target); err == nil && other == id {
		return mark{}, fmt.Errorf("%s and %s cannot be told apart on this file system (inode %d); make %s a new directory",
			l.Backing, l.Target, id.Inode, l.Target)
	}
	return m, nil
}
