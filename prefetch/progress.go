package prefetch

import (
	"math"
	"time"
)

// State is what a run is doing.
type State uint8

// The states of a run.
const (
	// Filling: batches are under way.
	Filling State = iota
	// Yielding: somebody waits for bytes, new batches wait for them.
	Yielding
	// Waiting: what was tried last failed, see Progress.Err; it goes on by itself.
	Waiting
	// Done: the run has ended.
	Done
)

func (s State) String() string { return [...]string{"filling", "yielding", "waiting", "done"}[s] }

// Progress is how far a run is. Bytes are of plain file content.
type Progress struct {
	State State
	Stage Stage
	// The start set: what is here and what there is, parts of files counted like files. Bytes of it are known once it was
	// looked up.
	StartFiles, StartFilesTotal uint64
	StartBytes, StartBytesTotal uint64
	// The whole desktop; the totals are what Options said.
	Files, FilesTotal uint64
	Bytes, BytesTotal uint64
	// Current is a file that is under way.
	Current string
	// Rate is bytes a second, smoothed over some seconds.
	Rate float64
	// ETA is the time left at this rate, 0 where it is not known.
	ETA time.Duration
	// Err is why it waits, or at the end, what Run returns.
	Err error
}

// meter keeps a Progress.
type meter struct {
	Progress
	last       time.Time
	lastBytes  uint64
	startFound uint64 // files of the start set that there are, as far as is known
}

// rateOver is the time over which the rate is smoothed.
const rateOver = 3 * time.Second

// done counts an item that is here, and bytes of it that were not counted yet.
func (m *meter) done(stage Stage, it *Item, bytes uint64) {
	m.Files += it.files()
	if stage == StartSetStage {
		m.StartFiles++
	}
	m.piece(stage, bytes)
}

func (m *meter) piece(stage Stage, bytes uint64) {
	m.Bytes += bytes
	if stage == StartSetStage {
		m.StartBytes += bytes
	}
}

// undo takes back the bytes of a file that has to come anew.
func (m *meter) undo(stage Stage, bytes uint64) {
	m.Bytes -= bytes
	m.lastBytes = min(m.lastBytes, m.Bytes)
	if stage == StartSetStage {
		m.StartBytes -= bytes
	}
}

// at works out rate and time left.
func (m *meter) at(now time.Time) Progress {
	if since := now.Sub(m.last); since > 0 {
		r := float64(m.Bytes-m.lastBytes) / since.Seconds()
		m.Rate += (r - m.Rate) * (1 - math.Exp(-since.Seconds()/rateOver.Seconds()))
		m.last, m.lastBytes = now, m.Bytes
	}
	m.ETA = 0
	if m.BytesTotal > m.Bytes && m.Rate >= 1 {
		left := float64(m.BytesTotal-m.Bytes) / m.Rate
		m.ETA = time.Duration(min(left, 1e9) * float64(time.Second))
	}
	return m.Progress
}
