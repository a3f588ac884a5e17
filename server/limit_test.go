package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// Reports faster than a person reads are dropped, but never one with a new phase, nor those of other work or devices.
func TestReports(t *testing.T) {
	m := newReports()
	now := time.Now()
	for i, c := range []struct {
		device        int64
		target, phase string
		after         time.Duration
		want          bool
	}{
		{1, "t", "filling", 0, true},
		{1, "t", "filling", reportEvery - 1, false},
		{1, "t", "done", reportEvery - 1, true},
		{1, "u", "filling", reportEvery - 1, true},
		{2, "t", "filling", reportEvery - 1, true},
		{1, "t", "done", 2 * reportEvery, true},
	} {
		if got := m.due(c.device, &wire.Progress{Kind: "stream", Target: c.target, Phase: c.phase}, now.Add(c.after)); got != c.want {
			t.Errorf("%d: kept %v, want %v", i, got, c.want)
		}
	}
	kept := 0
	for i := range 10 * reportBurst {
		if m.due(3, &wire.Progress{Kind: "stream", Target: fmt.Sprint(i)}, now) {
			kept++
		}
	}
	if kept < reportBurst || kept >= 10*reportBurst {
		t.Errorf("%d made-up reports of one device at once were kept, want about %d", kept, reportBurst)
	}
}
