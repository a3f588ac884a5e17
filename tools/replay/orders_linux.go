package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/looming-project/looming/prefetch"
)

// replay is a day that is replayed over a line.
type replay struct {
	disk  *disk
	rate  float64
	delay time.Duration
	uses  []prefetch.Use
	now   time.Time
}

// outcome is what an order leads to.
type outcome struct {
	name   string
	wait   time.Duration
	misses int
}

// orders replays the day against every order.
func (r *replay) orders(ctx context.Context, learnt *prefetch.Tally) ([]outcome, error) {
	names := slices.Sorted(maps.Keys(r.disk.files))
	bySize := slices.Clone(names)
	slices.SortStableFunc(bySize, func(a, b string) int { return cmp.Compare(r.disk.files[a], r.disk.files[b]) })
	shuffled := slices.Clone(names)
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(names), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	var wants []prefetch.Want
	for _, u := range r.uses {
		wants = append(wants, u.Want)
	}
	all := []outcome{
		r.against("demand only", func() (parcel, bool) { return parcel{}, false }, alone),
		r.against("at random", r.files(shuffled), alone),
		r.against("by name", r.files(names), alone),
		r.against("by size", r.files(bySize), alone),
	}
	for _, p := range []struct {
		name string
		plan *prefetch.Plan
	}{
		{"no history: the plan's own guess", prefetch.NewPlan(r.disk, &prefetch.Tally{}, nil, r.now)},
		{"ours, without the start set", prefetch.NewPlan(r.disk, learnt, nil, r.now)},
		{"ours", prefetch.NewPlan(r.disk, learnt, learnt.StartSet(), r.now)},
	} {
		s := &planned{r: r, ctx: ctx, plan: p.plan}
		r.disk.forget()
		all = append(all, r.against(p.name, s.next, p.plan.Used))
		if s.err != nil {
			return nil, s.err
		}
	}
	return append(all, r.against("the oracle", r.these(wants), alone)), nil
}

// alone is for orders that do not care what is used.
func alone(string) {}

// against replays the day while prefetch sends what next gives, and is told what is used.
func (r *replay) against(name string, next source, used func(path string)) outcome {
	l := &line{rate: r.rate, delay: r.delay, next: next, here: map[thing]time.Duration{}}
	o := outcome{name: name}
	for _, u := range r.uses {
		at := u.After + o.wait // programs go on when what they waited for is here
		wait := time.Duration(0)
		if !u.Dir {
			l.advance(at)
			used(u.Path)
		}
		r.disk.things(u.Want, func(t thing, n uint64) {
			w, miss := l.use(t, n, at+wait)
			wait += w
			if miss {
				o.misses++
			}
		})
		o.wait += wait
	}
	return o
}

// these gives things in the order of wants, all known from the start.
func (r *replay) these(wants []prefetch.Want) source {
	var ready []parcel
	return func() (parcel, bool) {
		for len(ready) == 0 {
			if len(wants) == 0 {
				return parcel{}, false
			}
			r.disk.things(wants[0], func(t thing, n uint64) { ready = append(ready, parcel{t, n, 0}) })
			wants = wants[1:]
		}
		p := ready[0]
		ready = ready[1:]
		return p, true
	}
}

// files gives all directories first, which such orders need, and then files.
func (r *replay) files(paths []string) source {
	var wants []prefetch.Want
	for _, dir := range slices.Sorted(maps.Keys(r.disk.dirs)) {
		wants = append(wants, prefetch.Want{Path: dir, Dir: true})
	}
	for _, p := range paths {
		wants = append(wants, prefetch.Want{Path: p})
	}
	return r.these(wants)
}

// planned gives what the real plan gives. Looking up takes round trips, beside what is sent already.
type planned struct {
	r     *replay
	ctx   context.Context //nolint:containedctx // the life of the replay
	plan  *prefetch.Plan
	known time.Duration // when the planner has got as far as it has
	ready []parcel
	err   error
}

func (s *planned) next() (parcel, bool) {
	for len(s.ready) == 0 {
		w, err := s.plan.Next(s.ctx)
		if errors.Is(err, io.EOF) {
			return parcel{}, false
		}
		if err != nil {
			s.err = fmt.Errorf("planning: %w", err)
			return parcel{}, false
		}
		s.names()
		for _, it := range w.Items {
			s.r.disk.things(prefetch.Want{Path: it.Path, Span: it.Span}, func(t thing, n uint64) {
				s.ready = append(s.ready, parcel{t, n, s.known})
			})
		}
	}
	p := s.ready[0]
	s.ready = s.ready[1:]
	return p, true
}

// names sends the directories that were just listed, in front of what is known by them.
func (s *planned) names() {
	d := s.r.disk
	s.known += time.Duration(d.trips) * s.r.delay
	for _, dir := range d.fresh {
		s.known += time.Duration(float64(d.cost(dir)) / s.r.rate * float64(time.Second))
		s.ready = append(s.ready, parcel{thing{path: dir, dir: true}, d.cost(dir), 0})
	}
	d.fresh, d.trips = nil, 0
}

// print writes the table.
func (r *replay) print(w io.Writer, all []outcome) {
	none, oracle := all[0].wait, all[len(all)-1].wait
	last := r.uses[len(r.uses)-1].After
	fmt.Fprintf(w, "%d first uses in %.0f s of work, over %.0f Mbit/s with a round trip of %v.\n\n", len(r.uses), last.Seconds(), r.rate*8/1e6, r.delay)
	fmt.Fprintln(w, "| order | waiting | misses | of what the oracle saves |\n|---|--:|--:|--:|")
	for _, o := range all {
		fmt.Fprintf(w, "| %s | %.1f s | %d | %.0f%% |\n", o.name, o.wait.Seconds(), o.misses, 100*float64(none-o.wait)/float64(none-oracle))
	}
}
