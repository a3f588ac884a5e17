package prefetch

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// nearLine is a line beside a disk that holds some of the files.
type nearLine struct {
	*line
	holds func(path string) bool
	asked atomic.Int64
}

// FillNear implements NearFiller.
func (l *nearLine) FillNear(_ context.Context, w Work) {
	for i := range w.Items {
		l.asked.Add(1)
		w.Items[i].Native = w.Items[i].Native || l.holds(w.Items[i].Path)
	}
}

// What the disk holds is not asked of the link, and counts as done: the run ends as if all had come, and the window has
// seen nothing of it.
func TestRunLeavesOutWhatIsNear(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tree, files := desktop(3000, 20_000, 1)
		holds := func(path string) bool { return files[path]%10 > 0 }
		l := &nearLine{line: newLine(20, 20*time.Millisecond), holds: holds}
		var last Progress
		r := NewRunner(planOf(tree), l, Options{Files: 3000, Bytes: sum(files), Report: func(p Progress) { last = p }})
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for path := range files {
			if _, asked := l.line.asked[path]; asked == holds(path) {
				t.Errorf("%q: on the disk %v, asked of the link %v", path, holds(path), asked)
			}
		}
		if last.Files != 3000 || last.Bytes != sum(files) || last.State != Done || l.asked.Load() != 3000 {
			t.Errorf("last progress %+v, %d items were looked at", last, l.asked.Load())
		}
	})
}
