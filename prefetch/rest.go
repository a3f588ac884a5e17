package prefetch

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"strings"
)

// Bounds of what is put off. Beyond them things come where they stand in the tree.
const (
	maxHuge  = 4096
	maxAside = 4096
	// maxFailed directories wait for another try; every directory is tried at most listTries times.
	maxFailed = 4096
	listTries = 3
)

// rest walks the tree: a directory's files, then its directories, depth first. In the order of names a directory's files
// lie together on the server, where one snapshot put them.
type rest struct {
	stack  []*level
	aside  []string // directories to walk after the others
	failed []level  // to list again at the end
	huge   hugeHeap
	sorted bool
}

// level is a directory on the way down. It keeps names only, and those in one string for each rank.
type level struct {
	dir   string
	after string // how far it is listed
	done  bool   // it is listed to the end
	tries int
	below [ranks]strings.Builder
	names [ranks]string // what is left of below once done, each name behind its NUL
}

func (r *rest) push(dir, after string, tries int) {
	r.stack = append(r.stack, &level{dir: dir, after: after, tries: tries})
}

func (r *rest) pending() bool {
	return len(r.stack)+len(r.aside)+len(r.failed)+len(r.huge) > 0
}

// next returns items, or none and nil where it only moved.
func (r *rest) next(ctx context.Context, tree Tree, given map[string]struct{}) ([]Item, error) {
	switch {
	case len(r.stack) > 0:
		top := r.stack[len(r.stack)-1]
		if !top.done {
			return r.list(ctx, tree, top, given)
		}
		r.descend(top)
	case len(r.aside) > 0:
		r.push(r.aside[0], "", 0)
		r.aside = r.aside[1:]
	case len(r.failed) > 0:
		f := r.failed[0]
		r.failed = r.failed[1:]
		r.push(f.dir, f.after, f.tries)
	case len(r.huge) > 0:
		return r.giveHuge(), nil
	}
	return nil, nil
}

// list takes one page of a directory.
func (r *rest) list(ctx context.Context, tree Tree, l *level, given map[string]struct{}) ([]Item, error) {
	items, more, err := tree.List(ctx, l.dir, l.after)
	if err != nil {
		return nil, &PlanError{"list", l.dir, err}
	}
	files := items[:0]
	for _, it := range items {
		if l.after = base(it.Path); it.Dir {
			r.found(l, it.Path)
		} else if _, had := given[it.Path]; !had {
			files = r.orLater(files, it)
		}
	}
	if l.done = !more || len(items) == 0; l.done {
		for i := range l.below {
			l.names[i] = l.below[i].String()
		}
	}
	return files, nil
}

// found notes a directory to walk.
func (r *rest) found(l *level, path string) {
	k := rankOf(path)
	if k == aside && len(r.aside) < maxAside {
		r.aside = append(r.aside, path)
		return
	}
	l.below[k].WriteByte(0)
	l.below[k].WriteString(base(path))
}

// descend goes to the next directory below l, or back up.
func (r *rest) descend(l *level) {
	for i := range l.names {
		if l.names[i] == "" {
			continue
		}
		name, left := l.names[i][1:], ""
		if end := strings.IndexByte(name, 0); end >= 0 {
			name, left = name[:end], name[end:]
		}
		l.names[i] = left
		r.push(join(l.dir, name), "", 0)
		return
	}
	r.stack = r.stack[:len(r.stack)-1]
}

// skip puts off the directory that could not be listed, and says whether it is lost.
func (r *rest) skip() bool {
	if len(r.stack) == 0 {
		return false
	}
	l := r.stack[len(r.stack)-1]
	l.tries++
	lost := l.tries >= listTries || len(r.failed) >= maxFailed
	if !lost {
		r.failed = append(r.failed, level{dir: l.dir, after: l.after, tries: l.tries})
	}
	// What was listed of it before is walked; only its own listing is put off.
	l.done = true
	for i := range l.below {
		l.names[i] = l.below[i].String()
	}
	return lost
}

// orLater appends it, or puts it off where it is huge. Where too many are, the smallest of them comes now.
func (r *rest) orLater(files []Item, it Item) []Item {
	if it.Size < hugeSize {
		return append(files, it)
	}
	heap.Push(&r.huge, it)
	if len(r.huge) > maxHuge {
		files = append(files, heap.Pop(&r.huge).(Item))
	}
	return files
}

// giveHuge returns what was put off, small ones first.
func (r *rest) giveHuge() []Item {
	if !r.sorted {
		slices.SortFunc(r.huge, compareHuge)
		r.sorted = true
	}
	n := min(len(r.huge), block)
	items := r.huge[:n:n]
	r.huge = r.huge[n:]
	return items
}

func compareHuge(a, b Item) int {
	return cmp.Or(cmp.Compare(a.Size, b.Size), strings.Compare(a.Path, b.Path))
}

// hugeHeap has the smallest file on top.
type hugeHeap []Item

func (h hugeHeap) Len() int           { return len(h) }
func (h hugeHeap) Less(i, j int) bool { return compareHuge(h[i], h[j]) < 0 }
func (h hugeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *hugeHeap) Push(it any)       { *h = append(*h, it.(Item)) }
func (h *hugeHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
