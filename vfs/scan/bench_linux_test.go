package scan

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/remote/remotetest"
	"github.com/looming-project/looming/vfs/wire"
)

// BenchmarkSnapshot takes a first and then unchanged snapshots of the directory that LOOMING_BENCH_ROOT names.
func BenchmarkSnapshot(b *testing.B) {
	root := os.Getenv("LOOMING_BENCH_ROOT")
	if root == "" {
		b.Skip("LOOMING_BENCH_ROOT names no directory")
	}
	s := remotetest.New(b)
	cache := b.TempDir()
	c := s.Client("laptop")
	take := func(name string) {
		var count Counters
		began := time.Now()
		if p := os.Getenv("LOOMING_BENCH_PROFILE"); p != "" {
			f, err := os.Create(p + "." + name)
			must(b, err)
			must(b, pprof.StartCPUProfile(f))
			defer pprof.StopCPUProfile()
		}
		res, err := Snapshot(context.Background(), c, Options{Root: root, CVD: "desk", Cache: cache, Count: &count, Now: later}, wire.CommitRequest{})
		must(b, err)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.Logf("%s: %.2f s, %d files, %d dirs, %d MB read, %d MB sent, %d chunks, %d unreadable", name, time.Since(began).Seconds(),
			res.Sums.Files, res.Sums.Dirs, count.BytesRead.Load()>>20, count.BytesSent.Load()>>20, count.ChunksSent.Load(), res.Unreadable)
	}
	debug.SetGCPercent(50)
	take("first")
	take("second")
	take("third")
}
