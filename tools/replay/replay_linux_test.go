package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/looming-project/looming/prefetch"
)

// Whoever asks for everything waits a round trip and the bytes for each thing; who knows the future waits for the bytes
// alone, and nothing waits less; what the plan learnt comes near to that.
func TestReplay(t *testing.T) {
	d := &disk{dirs: map[string][]prefetch.Item{"": {{Path: "bin", Dir: true}}}, files: map[string]uint64{}}
	tally := &prefetch.Tally{}
	var uses []prefetch.Use
	for i := range 100 {
		p := fmt.Sprintf("bin/%03d", i*37%100)
		d.files[p] = 10_000
		d.dirs["bin"] = append(d.dirs["bin"], prefetch.Item{Path: p, Size: 10_000})
		uses = append(uses, prefetch.Use{Want: prefetch.Want{Path: p}})
	}
	tally.AddTrace(prefetch.Trace{Started: time.Now(), Uses: uses})
	r := replay{disk: d, rate: 1e6, delay: 30 * time.Millisecond, uses: uses, now: time.Now()}
	all, err := r.orders(t.Context(), tally)
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]outcome{}
	for _, o := range all {
		of[o.name] = o
	}
	if o := of["demand only"]; o.misses != 100 || o.wait != 4*time.Second {
		t.Errorf("on demand: %+v, want 100 misses and 4 s", o)
	}
	oracle := of["the oracle"]
	if oracle.misses > 1 || oracle.wait > 1100*time.Millisecond {
		t.Errorf("the oracle: %+v", oracle)
	}
	if ours := of["ours"]; ours.wait > 2*time.Second {
		t.Errorf("ours: %+v", ours)
	}
	for _, o := range all {
		if o.wait < oracle.wait {
			t.Errorf("%s waits less than the oracle: %v", o.name, o.wait)
		}
	}
}
