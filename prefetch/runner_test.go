package prefetch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func planOf(tree *memTree, start ...string) *Plan {
	return NewPlan(tree, &Tally{}, wantsOf(start...), noon)
}

// Everything comes once, the start set first, and the last progress says so.
func TestRunBringsAll(t *testing.T) {
	for _, mbit := range []float64{2, 20, 1000, 8000} {
		t.Run(fmt.Sprint(mbit), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tree, files := desktop(3000, 20_000, 1)
				start := []string{"d2/e250/f2500", "d0/e1/f11", "gone", "d1/e150/f1500"}
				l := newLine(mbit, 20*time.Millisecond)
				var last Progress
				r := NewRunner(planOf(tree, start...), l, Options{
					Files: 3000, Bytes: sum(files), Report: func(p Progress) { last = p },
				})
				if err := r.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantAll(t, l, files)
				for _, p := range []string{start[0], start[1], start[3]} {
					if l.asked[p] != 0 {
						t.Errorf("%q of the start set was asked for after %v", p, l.asked[p])
					}
				}
				if i := slices.Index(l.got, start[0]); !slices.Equal(l.got[i:i+3], []string{start[0], start[1], start[3]}) {
					t.Errorf("the start set came as %q", l.got[i:i+3])
				}
				if last.State != Done || last.Files != 3000 || last.Bytes != sum(files) || last.ETA != 0 ||
					last.StartFiles != 3 || last.StartFilesTotal != 3 || last.StartBytes != last.StartBytesTotal || last.StartBytes == 0 {
					t.Errorf("last progress %+v", last)
				}
			})
		})
	}
}

// Parts of the start set come before anything else, large ones in pieces, and what is shown adds up in the end: bytes are
// counted once, whether they came with a part or with the file.
func TestRunBringsParts(t *testing.T) {
	for _, mbit := range []float64{2, 1000} {
		bubble(t, func(t *testing.T) {
			_, files := desktop(300, 20_000, 1)
			const big = 40 << 20
			files["lib/big"] = big
			tree := treeOf(files)
			start := []Want{
				wantOf("d0/e1/f11"), {Path: "lib/big", Span: Span{16 * Grain, 17 * Grain}}, {Path: "lib/big", Span: Span{80 * Grain, 140 * Grain}},
			}
			var last Progress
			l := &partLine{line: newLine(mbit, 20*time.Millisecond)}
			err := NewRunner(NewPlan(tree, &Tally{}, start, noon), l, Options{
				Files: 301, Bytes: sum(files), Jitter: steady, Report: func(p Progress) { last = p },
			}).Run(t.Context())
			if err != nil || len(l.batches) == 0 || !slices.Equal(l.batches[0], start[:2]) {
				t.Fatalf("%v, the first batch was %v, want %v", err, l.batches[:1], start[:2])
			}
			brought := 61*Grain + files["d0/e1/f11"]
			if last.Files != 301 || last.Bytes != sum(files) || last.StartFiles != 3 || last.StartFilesTotal != 3 ||
				last.StartBytes != brought || last.StartBytesTotal != brought {
				t.Errorf("at %v Mbit/s the last progress was %+v", mbit, last)
			}
		})
	}
}

// partLine notes its batches, in the order of asking.
type partLine struct {
	*line
	batches [][]Want
}

func (l *partLine) Fill(ctx context.Context, batch []Item) error {
	wants := make([]Want, len(batch))
	for i, it := range batch {
		wants[i] = Want{Path: it.Path, Span: it.Span}
	}
	l.mu.Lock()
	l.batches = append(l.batches, wants)
	l.mu.Unlock()
	return l.line.Fill(ctx, batch)
}

func (l *partLine) FillRange(ctx context.Context, it Item, _, n uint64) error {
	return l.carry(ctx, []Item{it}, n)
}

// Invariant 5, as far as prefetch can hold it: the link is full, and hardly any queue stands on it.
func TestRunKeepsTheQueueShort(t *testing.T) {
	for _, link := range []struct {
		mbit  float64
		delay time.Duration
		queue time.Duration // that 95 of 100 demands at most meet
	}{
		{2, 50 * time.Millisecond, 600 * time.Millisecond}, // the floor of 64 KiB is a quarter of a second here
		{20, 50 * time.Millisecond, 150 * time.Millisecond},
		{20, 100 * time.Millisecond, 150 * time.Millisecond},
		{100, 30 * time.Millisecond, 150 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(link), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, files := desktop(4000, 20_000, 2)
				for _, mb := range []uint64{20, 60} {
					files[fmt.Sprintf("big/%d", mb)] = mb << 20
				}
				tree := treeOf(files)
				l := newLine(link.mbit, link.delay)
				ctx, cancel := context.WithCancel(t.Context())
				var queues []time.Duration
				stopped := make(chan struct{})
				go func() {
					defer close(stopped)
					for pause(ctx, 37*time.Millisecond) == nil {
						queues = append(queues, l.queue())
					}
				}()
				began := time.Now()
				err := NewRunner(planOf(tree), cutLine{l}, Options{}).Run(ctx)
				took := time.Since(began)
				cancel()
				<-stopped
				if err != nil {
					t.Fatal(err)
				}
				wantAll(t, l, files)
				ideal := time.Duration(float64(sum(files)) / l.rate * float64(time.Second))
				if used := float64(ideal) / float64(took); used < 0.85 {
					t.Errorf("%.0f per cent of the link used", 100*used)
				}
				slices.Sort(queues)
				if q := queues[len(queues)*95/100]; q > link.queue {
					t.Errorf("a demand waits for %v (median %v), want at most %v", q, queues[len(queues)/2], link.queue)
				}
				t.Logf("used %.2f, queue median %v, 95%% %v", float64(ideal)/float64(took), queues[len(queues)/2], queues[len(queues)*95/100])
			})
		})
	}
}

// On a fast link at least three batches are under way, and batches grow.
func TestRunFillsAFastLink(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tree, files := desktop(20_000, 60_000, 3)
		l := newLine(4000, time.Millisecond)
		l.disk = 50 * time.Microsecond
		began := time.Now()
		if err := NewRunner(planOf(tree), l, Options{}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantAll(t, l, files)
		if l.peak < 3 {
			t.Errorf("at most %d batches under way", l.peak)
		}
		ideal := float64(sum(files)) / l.rate
		t.Logf("%d batches, at most %d at once, %.2f of the link", l.fills, l.peak, ideal/time.Since(began).Seconds())
		if took := time.Since(began).Seconds(); took > 1.3*ideal {
			t.Errorf("took %.1f s, the link alone %.1f s", took, ideal)
		}
		if l.fills > 1500 {
			t.Errorf("%d batches for %d MiB", l.fills, sum(files)>>20)
		}
	})
}

// While somebody waits for bytes, no new batch begins.
func TestRunYields(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tree, files := desktop(2000, 20_000, 4)
		l := newLine(20, 50*time.Millisecond)
		var states []State
		done := make(chan error)
		go func() {
			done <- NewRunner(planOf(tree), politeLine{l}, Options{Report: func(p Progress) { states = append(states, p.State) }}).Run(t.Context())
		}()
		time.Sleep(2 * time.Second)
		l.mu.Lock()
		wait := make(chan struct{})
		l.demanded = wait
		fills := l.fills
		l.mu.Unlock()
		time.Sleep(5 * time.Second)
		l.mu.Lock()
		if l.fills != fills || l.flying != 0 {
			t.Errorf("%d batches began while somebody waited, %d are under way", l.fills-fills, l.flying)
		}
		l.mu.Unlock()
		close(wait)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		wantAll(t, l, files)
		if !slices.Contains(states, Yielding) {
			t.Errorf("progress never said that it yields")
		}
	})
}

// A link that is cut for a minute, twice: few tries meanwhile, and it goes on by itself within the longest wait.
func TestRunSurvivesCuts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		files := map[string]uint64{"big": 30 << 20}
		for i := range 1000 {
			files[fmt.Sprintf("d%d/f%d", i/10, i)] = 20_000
		}
		tree := treeOf(files)
		l := newLine(20, 50*time.Millisecond)
		began, tries := time.Now(), 0
		cut := func() bool {
			since := time.Since(began)
			return since > 2*time.Second && since < time.Minute+2*time.Second || since > 75*time.Second && since < 135*time.Second
		}
		l.refuse = func([]Item) error {
			if !cut() {
				return nil
			}
			tries++
			return fmt.Errorf("dial: %w", ErrUnreachable)
		}
		var waited bool
		err := NewRunner(planOf(tree), cutLine{l}, Options{Jitter: steady, Report: func(p Progress) {
			waited = waited || p.State == Waiting && errors.Is(p.Err, ErrUnreachable)
			if p.Bytes > sum(files) {
				t.Errorf("progress says %d of %d bytes", p.Bytes, sum(files))
			}
		}}).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantAll(t, l, files)
		t.Logf("%d tries while the link was cut", tries)
		if tries > 40 || !waited {
			t.Errorf("%d tries while the link was cut, said so: %v", tries, waited)
		}
		ideal := time.Duration(float64(sum(files)) / l.rate * float64(time.Second))
		if took := time.Since(began); took > ideal+2*time.Minute+2*waitMax+10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A full disk, whether the filler knows that it is in everybody's way or not: the plan stands still, and goes on when
// there is space. Where the filler knows, that holds for the last files, too.
func TestRunWaitsForSpace(t *testing.T) {
	for what, full := range map[string]struct {
		err   error
		after int // batches
	}{
		"plain":              {fmt.Errorf("write: %w", syscall.ENOSPC), 20},
		"blocked":            {fmt.Errorf("write: %w: %w", ErrBlocked, syscall.ENOSPC), 20},
		"blocked at the end": {fmt.Errorf("write: %w: %w", ErrBlocked, syscall.ENOSPC), -1},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tree, files := desktop(5000, 20_000, 5)
				l := newLine(100, 10*time.Millisecond)
				var since time.Time
				l.refuse = func([]Item) error {
					begin := l.fills == full.after || full.after < 0 && len(l.got) > 4900
					if begin && since.IsZero() {
						since = time.Now()
					}
					if since.IsZero() || time.Since(since) > 10*time.Minute {
						return nil
					}
					return full.err
				}
				var said error
				err := NewRunner(planOf(tree), l, Options{Jitter: steady, Report: func(p Progress) {
					if p.State == Waiting {
						said = p.Err
					}
				}}).Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if !errors.Is(said, syscall.ENOSPC) {
					t.Errorf("progress said %v", said)
				}
				wantAll(t, l, files)
				t.Logf("%d batches", l.fills)
				if l.fills > 1000 {
					t.Errorf("%d batches tried", l.fills)
				}
			})
		})
	}
}

// A link that becomes another one on the way (a laptop leaves its dock): soon it is full again, and no queue stands on it.
func TestRunFollowsTheLink(t *testing.T) {
	for _, to := range []struct {
		mbit  float64
		delay time.Duration
	}{{10, 20 * time.Millisecond}, {100, 20 * time.Millisecond}, {50, 150 * time.Millisecond}} {
		t.Run(fmt.Sprint(to), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newLine(50, 20*time.Millisecond)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error)
				go func() {
					files := map[string]uint64{"big": 4 << 30}
					done <- NewRunner(planOf(treeOf(files)), cutLine{l}, Options{}).Run(ctx)
				}()
				time.Sleep(10 * time.Second)
				l.mu.Lock()
				l.rate, l.delay = to.mbit*1e6/8, to.delay
				l.mu.Unlock()
				time.Sleep(20 * time.Second)
				before := l.sofar()
				var queues []time.Duration
				for range 300 {
					time.Sleep(37 * time.Millisecond)
					queues = append(queues, l.queue())
				}
				slices.Sort(queues)
				used := float64(l.sofar()-before) / l.rate / (300 * 0.037)
				t.Logf("used %.2f, queue median %v, 95%% %v", used, queues[150], queues[285])
				if used < 0.8 || queues[285] > 200*time.Millisecond {
					t.Errorf("%.2f of the new link used, a demand waits for %v", used, queues[285])
				}
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		})
	}
}

var errDamaged = errors.New("chunk damaged")

// Files that cannot be had stop nobody, whether the filler says which they are or not, and are named at the end.
func TestRunGoesPastBadFiles(t *testing.T) {
	for _, says := range []bool{true, false} {
		t.Run(fmt.Sprint("partial ", says), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, files := desktop(2000, 20_000, 6)
				files["big"] = 20 << 20
				tree := treeOf(files)
				bad := []string{"big", "d0/e1/f10", "d1/e199/f1999"}
				tries := map[string]int{}
				l := newLine(50, 20*time.Millisecond)
				l.refuse = func(items []Item) error {
					p := &Partial{Errs: make([]error, len(items))}
					for i, it := range items {
						if slices.Contains(bad, it.Path) {
							p.Errs[i] = errDamaged
							tries[it.Path]++
						}
					}
					if len(p.Unwrap()) == 0 {
						return nil
					}
					if says && len(items) > 1 {
						return p
					}
					return fmt.Errorf("batch: %w", errDamaged)
				}
				var last Progress
				err := NewRunner(planOf(tree), cutLine{l}, Options{Jitter: steady, Report: func(p Progress) { last = p }}).Run(t.Context())
				var missing *Incomplete
				if !errors.As(err, &missing) || missing.Count != 3 || !errors.Is(err, errDamaged) {
					t.Fatalf("got %v, want three files missing", err)
				}
				for _, f := range missing.First {
					if !slices.Contains(bad, f.Path) || tries[f.Path] < maxTries || !strings.Contains(f.Err.Error(), "damaged") {
						t.Errorf("%q tried %d times: %v", f.Path, tries[f.Path], f.Err)
					}
					delete(files, f.Path)
				}
				wantAll(t, l, files)
				if last.Files != uint64(len(files)) || last.Bytes != sum(files) {
					t.Errorf("last progress says %d files, %d bytes, want %d, %d", last.Files, last.Bytes, len(files), sum(files))
				}
			})
		})
	}
}

// A file that fails comes back at the end, when it may be there.
func TestRunComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tree, files := desktop(1000, 20_000, 7)
		l, failed := newLine(50, 20*time.Millisecond), map[string]bool{}
		l.refuse = func(items []Item) error {
			p := &Partial{Errs: make([]error, len(items))}
			for i, it := range items {
				if strings.HasSuffix(it.Path, "7") && !failed[it.Path] {
					failed[it.Path], p.Errs[i] = true, errDamaged
				}
			}
			if len(p.Unwrap()) == 0 {
				return nil
			}
			return p
		}
		if err := NewRunner(planOf(tree), l, Options{}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantAll(t, l, files)
		if len(failed) != 100 {
			t.Errorf("%d files failed at first, want 100", len(failed))
		}
	})
}

// Listings that fail are waited for where the link is cut, and are named where they are damaged.
func TestRunListingFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tree := treeOf(map[string]uint64{"a/1": 1, "bad/2": 2, "c/3": 3})
		tree.fail["bad"] = errDamaged
		away := &awayTree{memTree: tree, until: time.Now().Add(time.Minute)}
		l := newLine(20, time.Millisecond)
		var waited bool
		err := NewRunner(NewPlan(away, &Tally{}, wantsOf("c/3"), noon), l, Options{Jitter: steady, Report: func(p Progress) {
			waited = waited || p.State == Waiting && errors.Is(p.Err, ErrUnreachable)
		}}).Run(t.Context())
		var missing *Incomplete
		if !errors.As(err, &missing) || missing.Count != 1 || missing.First[0].Path != "bad" {
			t.Fatalf("got %v, want the directory bad missing", err)
		}
		if !waited {
			t.Error("progress never said that it waits for the link")
		}
		wantAll(t, l, map[string]uint64{"a/1": 1, "c/3": 3})
	})
}

func (t *awayTree) List(ctx context.Context, dir, after string) ([]Item, bool, error) {
	if t.lists++; dir == "c" && t.lists < 30 {
		return nil, false, ErrUnreachable
	}
	return t.memTree.List(ctx, dir, after)
}

// awayTree is out of reach for a time.
type awayTree struct {
	*memTree
	until time.Time
}

func (t *awayTree) Lookup(ctx context.Context, paths []string) ([]Item, error) {
	if time.Now().Before(t.until) {
		return nil, ErrUnreachable
	}
	return t.memTree.Lookup(ctx, paths)
}

// Run ends at once with its context, whatever it waits for, and leaves nothing behind.
func TestRunEnds(t *testing.T) {
	for what, refuse := range map[string]func([]Item) error{
		"filling": nil,
		"waiting": func([]Item) error { return ErrUnreachable },
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tree, _ := desktop(5000, 20_000, 8)
				l := newLine(10, time.Second)
				l.refuse = refuse
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				began := time.Now()
				if err := NewRunner(planOf(tree), l, Options{}).Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took != 10*time.Second {
					t.Errorf("ended after %v", took)
				}
			})
		})
	}
}

// Progress comes at its pace, and tells rate and time left about right.
func TestRunReports(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tree, files := desktop(5000, 20_000, 9)
		l := newLine(20, 20*time.Millisecond)
		began := time.Now()
		var last time.Time
		var guess, took time.Duration
		err := NewRunner(planOf(tree), l, Options{Files: 5000, Bytes: sum(files), Report: func(p Progress) {
			if p.State != Done && time.Since(last) < 250*time.Millisecond && !last.IsZero() {
				t.Errorf("%v after the last report", time.Since(last))
			}
			last = time.Now()
			if guess == 0 && p.Bytes > sum(files)/2 {
				guess = time.Since(began) + p.ETA
			}
			if p.State == Filling && p.Current == "" {
				t.Error("fills nothing")
			}
		}}).Run(t.Context())
		t.Logf("said half-way %v, took %v", guess, time.Since(began))
		if took = time.Since(began); err != nil || guess < took*8/10 || guess > took*12/10 {
			t.Errorf("%v: said half-way that it would take %v, took %v", err, guess, took)
		}
	})
}

// Whatever fails, in whatever way, every file either comes once or is named as missing, and the counts agree.
func TestRunAnyFailures(t *testing.T) {
	for seed := range uint64(60) {
		bubble(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			_, files := desktop(300, 30_000, seed)
			files["big/a"], files["big/b"] = 12<<20, 3<<20
			tree := treeOf(files)
			tree.page = r.IntN(4)
			l := newLine([]float64{5, 50, 2000}[r.IntN(3)], 20*time.Millisecond)
			l.refuse = func(items []Item) error { return anyFailure(r, items) }
			var filler Filler = l
			if r.IntN(2) == 0 {
				filler = cutLine{l}
			}
			var last Progress
			err := NewRunner(planOf(tree, "big/a", "d0/e3/f31"), filler, Options{Report: func(p Progress) { last = p }}).Run(t.Context())
			missing := &Incomplete{}
			if err != nil && !errors.As(err, &missing) {
				t.Fatal(err)
			}
			got := slices.Sorted(slices.Values(l.got))
			for _, f := range missing.First {
				if slices.Contains(got, f.Path) && l.pieces[f.Path] == 0 { // pieces that come again say nothing
					t.Errorf("seed %d: %q came, and is missing: %v", seed, f.Path, f.Err)
				}
				delete(files, f.Path)
			}
			if missing.Count <= maxFailures && (last.Files != uint64(len(files)) || last.Bytes != sum(files)) {
				t.Errorf("seed %d: progress says %d files, %d bytes, want %d, %d", seed, last.Files, last.Bytes, len(files), sum(files))
			}
			for path := range files {
				if !slices.Contains(got, path) && l.pieces[path] < files[path] {
					t.Errorf("seed %d: %q neither came nor is missing", seed, path)
				}
			}
		})
	}
}

func anyFailure(r *rand.Rand, items []Item) error {
	switch r.IntN(12) {
	case 0:
		return ErrUnreachable
	case 1:
		return errDamaged
	case 2:
		p := &Partial{Errs: make([]error, len(items))}
		for i := range p.Errs {
			p.Errs[i] = []error{nil, nil, errDamaged, ErrUnreachable}[r.IntN(4)]
		}
		return p
	}
	return nil
}

// instant brings everything at once.
type instant struct{}

func (instant) Fill(context.Context, []Item) error { return nil }

// BenchmarkRun is the cost of plan and runner for one file.
func BenchmarkRun(b *testing.B) {
	tree, _ := desktop(200_000, 20_000, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := NewRunner(planOf(tree), instant{}, Options{}).Run(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/200_000, "ns/file")
}
