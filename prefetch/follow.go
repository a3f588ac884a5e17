package prefetch

import "sync"

// follower gives the start set in its order, and follows whoever uses it in another: programs are started as a person
// likes, but what one of them uses next is what it used next before. A use of something that was not given yet says that
// the order has been left there: demand brings that, the plan goes on behind it, and comes back to what it left out at the
// end.
type follower struct {
	mu    sync.Mutex // guards what follows
	wants []Want
	given []bool
	of    map[string]int // the first want of a path, by its path
	at    int            // where it goes on
	left  int
}

func newFollower(wants []Want) *follower {
	f := &follower{wants: wants, given: make([]bool, len(wants)), of: make(map[string]int, len(wants)), left: len(wants)}
	for i, w := range wants {
		if _, had := f.of[w.Path]; !had {
			f.of[w.Path] = i
		}
	}
	return f
}

func (f *follower) pending() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left > 0
}

// used says that a path is used now.
func (f *follower) used(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i, ok := f.of[path]; ok && !f.given[i] {
		f.at = i + 1
	}
}

// next returns the indices of up to n wants that come next, with parts of up to maxPart together.
func (f *follower) next(n int) (some []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	parts := uint64(0)
	for step := 0; step < len(f.wants) && len(some) < min(n, f.left) && parts < maxPart; step++ {
		if i := (f.at + step) % len(f.wants); !f.given[i] {
			some = append(some, i)
			parts += f.wants[i].Len()
		}
	}
	return some
}

// pass notes that wants are given.
func (f *follower) pass(some []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range some {
		if !f.given[i] {
			f.given[i] = true
			f.left--
		}
	}
}
