//go:build unix

package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// stock is frames as a desktop has them: mostly small chunks, most bytes in large ones.
type stock struct {
	ids    []chunk.ID
	frames [][]byte
	bytes  int64
}

// makeStock makes n chunks of 24 KiB on average, compressible to about 0.4. A few templates are varied at the end, so that
// making them is cheap.
func makeStock(n int) *stock {
	rnd := rand.New(rand.NewPCG(7, 7))
	plain := randomText(rnd, 1<<20)
	s := &stock{}
	for i := range n {
		size := 600 + rnd.IntN(8000)
		if i%12 == 0 {
			size = 64<<10 + rnd.IntN(400<<10)
		}
		from := rnd.IntN(len(plain) - size)
		b := append([]byte(nil), plain[from:from+size]...)
		copy(b, strconv.Itoa(i))
		f := chunk.Encode(nil, b)
		s.ids, s.frames, s.bytes = append(s.ids, chunk.Sum(b)), append(s.frames, f), s.bytes+int64(len(f))
	}
	return s
}

func (s *stock) body(i, j int) []byte {
	var b []byte
	for ; i < j; i++ {
		b = append(wire.AppendHead(b, wire.FrameOK, s.ids[i], len(s.frames[i])), s.frames[i]...)
	}
	return b
}

// cpu is the time that this process, and the Postgres of the tests, spent so far.
func cpu(b *testing.B) (own, database float64) {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9, postgresCPU(b)
}

// postgresCPU adds up the Postgres that is a child of this process, and its children.
func postgresCPU(b *testing.B) (sum float64) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	own := map[string]bool{strconv.Itoa(os.Getpid()): true}
	for _, path := range stats { // a child's number is larger than its parent's, mostly: good enough to measure
		raw, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(raw), "(postgres)") {
			continue
		}
		f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+2:]))
		if !own[f[1]] {
			continue
		}
		own[filepath.Base(filepath.Dir(path))] = true
		for _, i := range []int{11, 12} {
			n, _ := strconv.ParseFloat(f[i], 64)
			sum += n / 100
		}
	}
	return sum
}

// BenchmarkDesktop does what a first centralization and a full download of about a sixth of a desktop make the server do, and
// reports seconds of processor time for a whole one of 170,000 chunks.
func BenchmarkDesktop(b *testing.B) {
	n := 28_000
	if v := os.Getenv("LOOMING_BENCH_CHUNKS"); v != "" {
		n, _ = strconv.Atoi(v)
	}
	scale := 170_000 / float64(n)
	st := makeStock(n)
	for b.Loop() {
		w := newWorld(b, Options{})
		session := w.begin(b, 1, "desk")
		report := func(name string, f func()) {
			own, pg := cpu(b)
			start := time.Now()
			f()
			took := time.Since(start).Seconds()
			own2, pg2 := cpu(b)
			b.ReportMetric(took*scale, name+"-wall-s")
			b.ReportMetric((own2-own)*scale, name+"-server-s")
			b.ReportMetric((pg2-pg)*scale, name+"-pg-s")
		}
		const pack = 3000
		report("have", func() {
			for i := 0; i < n; i += 4096 {
				_, err := w.Have(b.Context(), 1, session, st.ids[i:min(i+4096, n)])
				must(b, err)
			}
		})
		var bodies [][]byte
		for i := 0; i < n; i += pack {
			bodies = append(bodies, st.body(i, min(i+pack, n)))
		}
		report("upload", func() {
			for _, body := range bodies {
				_, err := w.Upload(b.Context(), 1, session, bytes.NewReader(body), int64(len(body)))
				must(b, err)
			}
		})
		report("have-again", func() {
			for i := 0; i < n; i += 4096 {
				_, err := w.Have(b.Context(), 1, session, st.ids[i:min(i+4096, n)])
				must(b, err)
			}
		})
		bodies = nil
		w.where.forget()
		fetch := func() {
			for i := 0; i < n; i += 512 {
				must(b, w.Fetch(b.Context(), 1, st.ids[i:min(i+512, n)], Pace{}, io.Discard))
			}
		}
		report("fetch", fetch)
		report("fetch-warm", fetch)
		rnd := rand.New(rand.NewPCG(3, 3))
		rnd.Shuffle(n, func(i, j int) {
			st.ids[i], st.ids[j] = st.ids[j], st.ids[i]
			st.frames[i], st.frames[j] = st.frames[j], st.frames[i]
		})
		w.where.forget()
		report("fetch-shuffled", fetch)
		b.ReportMetric(float64(st.bytes)*scale/1e6, "MB-of-frames")
	}
}

// BenchmarkCommit commits a tree of 20,000 small files, or LOOMING_BENCH_FILES, with the locations of its chunks in the
// cache and without, and reports the most memory that the process had.
func BenchmarkCommit(b *testing.B) {
	files := 20_000
	if v := os.Getenv("LOOMING_BENCH_FILES"); v != "" {
		files, _ = strconv.Atoi(v)
	}
	for b.Loop() {
		w := newWorld(b, Options{})
		session := w.begin(b, 1, "desk")
		up := &uploader{w: w, b: b, session: session}
		root := up.tree(files)
		up.flush()
		own, pg := cpu(b)
		start := time.Now()
		snap, err := w.Commit(b.Context(), 1, session, wire.CommitRequest{Root: root})
		must(b, err)
		b.ReportMetric(time.Since(start).Seconds(), "commit-wall-s")
		own2, pg2 := cpu(b)
		b.ReportMetric(own2-own, "commit-server-s")
		b.ReportMetric(pg2-pg, "commit-pg-s")
		w.exec(b, `update snapshots set root = ''`)
		w.where.forget()
		again := w.begin(b, 1, "desk")
		var peak uint64
		stop := make(chan struct{})
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			var m runtime.MemStats
			for {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapInuse)
				}
			}
		}()
		runtime.GC()
		start = time.Now()
		_, err = w.Commit(b.Context(), 1, again, wire.CommitRequest{Root: root})
		must(b, err)
		b.ReportMetric(time.Since(start).Seconds(), "commit-cold-wall-s")
		close(stop)
		<-stopped
		b.ReportMetric(float64(peak)/(1<<20), "heap-MiB")
		b.ReportMetric(float64(snap.Files), "files")
		var bytes int64
		must(b, w.sql.QueryRow(`select sum(pg_total_relation_size(oid)) from pg_class where relname in
			('chunks', 'packs', 'files', 'snapshots', 'sessions', 'session_sets')`).Scan(&bytes))
		b.ReportMetric(float64(bytes)/float64(snap.Files), "db-B/file")
	}
}

// uploader makes a tree and uploads it while it is made.
type uploader struct {
	w       *world
	b       *testing.B
	session string
	body    []byte
	seed    uint64
}

func (u *uploader) put(plain []byte) (chunk.ID, error) {
	id, frame := chunk.Sum(plain), chunk.Encode(nil, plain)
	u.body = append(wire.AppendHead(u.body, wire.FrameOK, id, len(frame)), frame...)
	if len(u.body) > 12<<20 {
		u.flush()
	}
	return id, nil
}

func (u *uploader) flush() {
	_, err := u.w.Upload(u.b.Context(), 1, u.session, bytes.NewReader(u.body), -1)
	must(u.b, err)
	u.body = u.body[:0]
}

// tree has 12 files in each directory and 60 of those in each above.
func (u *uploader) tree(files int) cvd.Root {
	top := cvd.NewBuilder(u.put)
	for i := 0; files > 0; i++ {
		mid := cvd.NewBuilder(u.put)
		for j := 0; j < 60 && files > 0; j++ {
			dir := cvd.NewBuilder(u.put)
			for k := 0; k < 12 && files > 0; k++ {
				u.seed++
				files--
				plain := binary.BigEndian.AppendUint64(make([]byte, cvd.InlineMax), u.seed)
				id, err := u.put(plain)
				must(u.b, err)
				must(u.b, dir.Add(&cvd.Entry{
					Name: fmt.Sprintf("some file %02d", k), Type: cvd.File, Mode: 0o644,
					Size: uint64(len(plain)), Content: cvd.Content{ID: id},
				}))
			}
			u.add(mid, dir, fmt.Sprintf("directory %02d", j))
		}
		u.add(top, mid, fmt.Sprintf("directory %06d", i))
	}
	tree, sums, err := top.Finish()
	must(u.b, err)
	plain, err := cvd.EncodeRoot(&cvd.Entry{Type: cvd.Dir, Mode: 0o755, Tree: tree, Sums: sums})
	must(u.b, err)
	id, err := u.put(plain)
	must(u.b, err)
	return cvd.Root(id)
}

func (u *uploader) add(to, dir *cvd.Builder, name string) {
	tree, sums, err := dir.Finish()
	must(u.b, err)
	must(u.b, to.Add(&cvd.Entry{Name: name, Type: cvd.Dir, Mode: 0o755, Tree: tree, Sums: sums}))
}
