package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/wire"
)

// progressFile in the work directory says how far a stream was when somebody last looked, as wire.Progress.
const progressFile = "progress.json"

// keep notes how far it is, for when nobody can be asked. The work directory is left alone once it is to go.
func (m *meter) keep(work string) {
	p := m.wire()
	if slices.Contains([]string{phasePivoting, phaseNative}, p.Phase) {
		return
	}
	p.Rate, p.ETA, p.Current, p.Misses = 0, 0, "", nil
	b, err := json.Marshal(p)
	if err == nil {
		err = durable.WriteFile(filepath.Join(work, progressFile), append(b, '\n'), 0o600)
	}
	if err != nil {
		slog.Debug("how far the stream is was not noted", "err", err)
	}
}

// keptProgress is what keep noted last, if it did.
func keptProgress(work string) (p wire.Progress) {
	b, err := os.ReadFile(filepath.Join(work, progressFile))
	if err != nil || json.Unmarshal(b, &p) != nil {
		return wire.Progress{}
	}
	return p
}
