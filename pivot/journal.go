package pivot

import (
	"bytes"
	"encoding/json"
	"os"
	"time"
)

// Note is one line of the journal: what was meant, and when. Nothing is decided by it.
type Note struct {
	Time time.Time `json:"time"`
	Step string    `json:"step"`
	Text string    `json:"text"`
}

// writeNote appends to a journal. It is not synced: after a power cut its end may be missing.
func writeNote(path string, n Note) error {
	line, err := json.Marshal(n)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// lastNote returns the last whole line of a journal, if there is one.
func lastNote(path string) (last Note, ok bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Note{}, false
	}
	for line := range bytes.Lines(data) {
		var n Note
		if json.Unmarshal(line, &n) == nil {
			last, ok = n, true
		}
	}
	return last, ok
}
