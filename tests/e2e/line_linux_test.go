package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/looming-project/looming/tests/e2e/lab"
	"github.com/looming-project/looming/tools/wan/link"
)

// TestCutLine: while the line is cut, a read of what is not here fails within
// its deadline and one of what is here works; when the line is whole again the
// stream goes on by itself (invariants 4, 5 and 9).
func TestCutLine(t *testing.T) {
	away, breaks := time.Minute, map[string]link.Break{"silently": link.Silent, "with resets": link.Reset}
	if testing.Short() {
		away = 10 * time.Second
		delete(breaks, "silently") // prefetch notices only after a minute
	}
	for what, how := range breaks {
		t.Run(what, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			r := serving(t)
			line, addr := r.line(link.Options{Down: 20 * link.Mbit, Delay: 20 * time.Millisecond})
			office, laptop := r.endpoint("office", ""), r.endpoint("laptop", addr)
			root := r.plain("root", 20)
			r.snapshot(office, "desk", root)
			must(t, r.server.Assign(r.ctx, "desk", "laptop"))
			target := r.path("target")
			const deadline = 3 * time.Second
			p := r.stopped(laptop.Stream(r.ctx, "desk", target, "--deadline", deadline.String()))
			if _, err := os.ReadFile(filepath.Join(target, "file-019")); err != nil {
				t.Fatal(err)
			}
			line.Cut(how)
			cut := time.Now()
			if _, err := os.ReadFile(filepath.Join(target, "file-018")); err == nil {
				t.Fatal("a file that was not here was read over a line that is cut")
			}
			if took := time.Since(cut); took > 3*deadline {
				t.Errorf("a read over a cut line failed after %v, its deadline is %v", took, deadline)
			}
			if _, err := os.ReadFile(filepath.Join(target, "file-019")); err != nil {
				t.Errorf("a file that is here: %v", err)
			}
			s := r.status(laptop, target, "the stream says that it is offline", func(s lab.Streaming) bool { return s.Phase == "offline" })
			t.Logf("a cut line is told as %q", s.Message)
			time.Sleep(time.Until(cut.Add(away)))
			must(t, line.Restore())
			restored := time.Now()
			if _, err := lab.EndStream(r.ctx, p); err != nil {
				t.Fatal(err)
			}
			t.Logf("native %v after the line was whole again", time.Since(restored).Round(100*time.Millisecond))
			r.same(root, target)
		})
	}
}
