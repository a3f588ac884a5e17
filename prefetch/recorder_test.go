package prefetch

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Uses land in the phase they happen in, and the start's in the order of first use.
func TestRecorderPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tally, rec := &Tally{}, NewRecorder(RecorderOptions{Machine: 9})
		use := func(p string) { rec.Opened(p, 0, false); time.Sleep(10 * time.Second) }
		use("init")
		use("lib")
		rec.Flush(tally)
		use("init")
		use("dm")
		rec.Login()
		use("session")
		time.Sleep(time.Minute)
		use("letter")
		rec.Flush(tally)

		tr := tally.Traces()
		want := []Use{
			{wantOf("init"), 0, Start},
			{wantOf("lib"), 10 * time.Second, Start},
			{wantOf("dm"), 30 * time.Second, Start},
			{wantOf("session"), 40 * time.Second, Login},
			{wantOf("letter"), 110 * time.Second, Later},
		}
		if len(tr) != 1 || tr[0].Machine != 9 || !slices.Equal(tr[0].Uses, want) {
			t.Errorf("traces %v, want the uses %v", tr, want)
		}
		for p, phase := range map[string]Phase{"init": Start, "dm": Start, "session": Login, "letter": Later} {
			if c := tally.paths[p]; len(c) != 1 || c[0].phase != phase {
				t.Errorf("%s: %v, want phase %d", p, c, phase)
			}
		}
		if c := tally.paths["init"][0]; c.opens != 2 {
			t.Errorf("init: %+v", c)
		}
	})
}

// What nobody flushes is dropped and counted; nobody waits.
func TestRecorderDrops(t *testing.T) {
	rec := NewRecorder(RecorderOptions{Buffer: 10})
	for i := range 15 {
		rec.Opened(fmt.Sprint(i), 0, false)
	}
	for range 1000 { // one event, however often
		rec.Read("14", 0, 0, 1)
		rec.Opened("9", 0, false)
	}
	if d := rec.Dropped(); d != 5+1000 {
		t.Errorf("%d dropped", d)
	}
	tally := &Tally{}
	rec.Flush(tally)
	if tally.Len() != 10 || tally.paths["9"][0].opens != 1001 {
		t.Errorf("%d paths, %v", tally.Len(), tally.paths["9"])
	}
}

// From many goroutines, with flushes in between, nothing is lost.
func TestRecorderConcurrent(t *testing.T) {
	tally, rec := &Tally{}, NewRecorder(RecorderOptions{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 1000 {
				rec.Opened(fmt.Sprintf("f%d", i%100), 0, true)
				rec.Read(fmt.Sprintf("g%d", g), 0, int64(i), 10)
			}
		})
	}
	for range 50 {
		rec.Flush(tally)
	}
	wg.Wait()
	rec.Flush(tally)
	var opens, bytes uint64
	for _, cells := range tally.paths {
		for _, c := range cells {
			opens, bytes = opens+uint64(c.opens), bytes+c.bytes
		}
	}
	if opens != 4000 || bytes != 40000 || rec.Dropped() != 0 {
		t.Errorf("%d opens, %d bytes, %d dropped", opens, bytes, rec.Dropped())
	}
}

func BenchmarkRecorderRead(b *testing.B) {
	rec := NewRecorder(RecorderOptions{})
	b.ReportAllocs()
	for b.Loop() {
		rec.Read("usr/lib/x86_64-linux-gnu/libc.so.6", 0, 0, 4096)
	}
}
